/** Packets to one peer that the relay has not answered: enough to hide its round trip, few enough to make batches. */
export const IN_FLIGHT_MAX = 4
/** A peer that lacks more blocks than this gets them in large packets: each costs both sides and the relay the same. */
export const BULK_BLOCKS_MIN = 1
export const TICK_MS = 1_000
/** So long a connection without word of the mailbox is taken to have none. */
export const MAIL_TICKS = 3
/** After a refusal (a full mailbox, a peer that never logged in) the same packets wait this long. */
export const REFUSED_PAUSE_MS = 5_000
/** Documents that one peer may make us ask about, since it can invent names; a start forgets them. */
export const INTERESTS_MAX = 256
/** Documents that may be asked for again when records arrive; the heads find the others within a heartbeat. */
export const TURNED_AWAY_MAX = 256
/** A process that is killed sends what it handed over within this long a second time. */
export const HANDED_NOTED_MS = 5_000

/** A heartbeat and a half: what was said has not been answered. */
export const SILENT_MS = 15_000
/** Three and a half heartbeats: a peer that is there has spoken. */
export const HEARD_LATELY_MS = 35_000
/** How often it is looked whether this node has reached what others have, of documents that it had fallen behind with. */
export const REACHED_MS = 1_000
