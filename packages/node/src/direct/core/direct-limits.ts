/** Of direct links: everything that a stranger, or a member, can grow. */

/** Connections at once, of members and others. */
export const CONNECTIONS_MAX = 64
/** Of them, those that have not logged in: they leave room for members. */
export const STRANGERS_MAX = 32
/** Of one address, which have not logged in. */
export const ADDRESS_STRANGERS_MAX = 8
/** Logins that fail in a minute, after which an address is hung up on without a word. */
export const ADDRESS_FAILURES_MAX = 30
export const ADDRESS_WINDOW_MS = 60_000
/** Addresses that are remembered for that. */
export const ADDRESSES_MAX = 1_024

/** Taken from one peer and not durable here yet: beyond it nothing more is read from it. */
export const IN_HAND_BYTES_MAX = 4 * 1_048_576
/** Handed to one peer and not acknowledged: beyond it packets go by the relays. */
export const UNACKED_BYTES_MAX = 4 * 1_048_576

/** A dialling node pings this often: twice without an answer and half as long again, and the link is dead. */
export const PING_EVERY_MS = 5_000
export const SILENCE_MS_MAX = 12_500

/** What a link has not answered after this long makes it show that it lives. */
export const PROBE_AFTER_MS = 300
/** So long without a sign of life, and its packets go by the relays: a dead link delays nothing for longer. */
export const DOUBT_AFTER_MS = 1_000
/** A link that lives but does not answer (its disk is slow): what it was given goes by the relays as well. */
export const OVERDUE_MS = 5_000
/** Copies of packets that a direct link has not answered. What has no room goes by the relays at once. */
export const HELD_BYTES_MAX = 8 * 1_048_576

/** Announcements on the LAN that are looked at in a second: anybody there can send as many as he likes. */
export const ANNOUNCEMENTS_A_SECOND = 32
/** Of those that only a member can have made, or somebody who repeats it: how many are dialled in a minute. */
export const FOUND_A_MINUTE = 10
/** Found addresses that are dialled, or kept, at once. */
export const FOUND_MAX = 32
/** How often a node announces itself and asks for others; who comes is asked for, and announces himself, at once. */
export const LOOK_EVERY_MS = 60_000
/** Answers to questions of others: one to all of them. */
export const ANNOUNCE_EVERY_MS = 1_000
