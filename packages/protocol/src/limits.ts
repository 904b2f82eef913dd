/** Everything that a stranger or a peer can grow, with the reason for its number. All sizes in bytes. */

/** One WebSocket message between node and relay: a padded packet with its boxes and a few bytes of frame. */
export const FRAME_BYTES_MAX = 262_144
/** A packet: a frame less its type, a sequence and room to spare. */
export const PACKET_BYTES_MAX = FRAME_BYTES_MAX - 1_024
/** Boxes for all of one packet cost under 4 KiB. */
export const PACKET_RECIPIENTS_MAX = 32
/** Below this, padding hides nothing: the median register write is under 100 B. */
export const PADDING_FLOOR_BYTES = 512
/**
 * Packets that carry nothing of a document are padded to this at least, so that a heartbeat, a receipt and a takeover
 * look alike: the record that moves an agent of six layers to another machine fits, and so do receipts for a dozen.
 */
export const CONTROL_PADDING_BYTES = 2_048
/** What a sender puts into one packet before it starts the next: keeps the relay's turns short. */
export const PAYLOAD_BYTES_TARGET = 49_152
/** The same for a peer that lacks much: fewer packets, and more that compresses together. */
export const PAYLOAD_BYTES_BULK = 196_608
/** After padding (6.3 %), boxes and header this still fits a packet. */
export const PAYLOAD_BYTES_MAX = 225_280

/** A register is a fact, not a file: larger things are texts, or chunks in a files document. */
export const REGISTER_VALUE_BYTES_MAX = 131_072
export const REGISTER_KEY_BYTES_MAX = 512
/** One edit of a text, as a Yjs update. A pasted book is split by the writer. */
export const TEXT_UPDATE_BYTES_MAX = 196_608
/** A signed block; leaves room in a payload for its item header. */
export const BLOCK_BYTES_MAX = 221_184
/** A pruned block: the largest of which every write is left, with a place and an empty clock for each. */
export const PRUNED_BYTES_MAX = BLOCK_BYTES_MAX + 3_072
/** What is left below a base, one row of it: a pruned block or a text run, and which of them it is. */
export const ROW_BYTES_MAX = PRUNED_BYTES_MAX + 1
/** Longer text runs are split: what others delete in one later makes it longer, and then it still has to fit a row. */
export const TEXT_RUN_BYTES_TARGET = 131_072
/** One commit; more are split into several blocks. */
export const BLOCK_WRITES_MAX = 1_024
/** Who edits the texts of one document: a dozen editors with their cursors, at some 200 B each. */
export const AWARENESS_BYTES_MAX = 4_096
/** What standby and holder say to each other in a drill, beside which a payload holds nothing else. */
export const DRILL_BODY_BYTES_MAX = 204_800
/** A message between agents as JSON text: its payload of up to 128 KiB, and the fields beside it. */
export const LETTER_BYTES_MAX = 135_168
/** Incarnations that one vector may write out: a node that restarts hourly for a year stays below. */
export const VECTOR_ENTRIES_MAX = 16_384
/** Entries of one link of a closed set: three fit a packet, at 57 B each. */
export const CLOSED_LINK_ENTRIES_MAX = 1_024
/** Links of one closed set: a node that restarts every ten minutes fills them in fifteen months. */
export const CLOSED_LINKS_MAX = 64
export const CLOSED_ENTRIES_MAX = CLOSED_LINKS_MAX * CLOSED_LINK_ENTRIES_MAX
/** Incarnations of a base: what a closed set names, and what is written out beside it. */
export const BASE_ENDS_MAX = CLOSED_ENTRIES_MAX + VECTOR_ENTRIES_MAX
/** Incarnations that one write may replace. */
export const CLOCK_ENTRIES_MAX = 1_024
/** Concurrent heads of the membership log that one block, packet or record may name. */
export const LOG_HEADS_MAX = 64
/** A membership record; the largest is an assign with its basis. */
export const RECORD_BYTES_MAX = 131_072
/** Records of one mesh: decades of weekly prekeys for a dozen nodes. */
export const RECORDS_MAX = 100_000
/** The membership log: what it may hold, and how much of that is left to those who govern. */
export const LOG_LIMITS = {
  records: RECORDS_MAX,
  /** With room to spare they fit what a joiner takes when it is paired. */
  bytes: 48 * 1_048_576,
  /** So that a member that fills the log can still be removed. */
  reservedRecords: 1_024,
  reservedBytes: 4 * 1_048_576,
} as const
/** Records that arrived before a parent; older ones make room, since peers send them again with their parents. */
export const RECORDS_WAITING_MAX = 1_024
export const RECORDS_WAITING_BYTES_MAX = 8 * 1_048_576
export const HOST_NODES_MAX = 64
export const CUT_DOCUMENTS_MAX = 4_096
/** Layers of one agent that one assign may state a basis for. */
export const BASIS_LAYERS_MAX = 1_024
/** Addresses that a node tries in turn. */
export const RELAYS_MAX = 16
/** An odd number: a majority says. */
export const WITNESSES_MAX = 3
export const RELAY_ADDRESS_BYTES_MAX = 512
/** A sentence for people: a record's reason (200 characters at the door, up to 3 bytes each), a mesh's name. */
export const RECORD_TEXT_BYTES_MAX = 1_024

/** The last moment that a JavaScript Date can name: a later one from a peer would throw where it is shown. */
export const TIME_MS_MAX = 8_640_000_000_000_000

/** A block further ahead of the local clock than this is held until it is due (DESIGN: five minutes). */
export const BLOCK_AHEAD_MS_MAX = 5 * 60_000
/** Prekeys tolerate clocks that differ by this much. */
export const PREKEY_SKEW_MS = 60 * 60_000
export const DAY_MS = 24 * 60 * 60_000
export const PREKEY_ROTATE_MS = 7 * DAY_MS
export const PREKEY_LIFE_MS = 28 * DAY_MS
/** A content key may serve packets to the same recipients for this long. */
export const CONTENT_KEY_REUSE_MS = 60_000
/** Siblings of one register that are shown; the state keeps all. */
export const SIBLINGS_SHOWN_MAX = 16

/** Before login a stranger may send this much, for this long. */
export const LOGIN_BYTES_MAX = 4_096
export const LOGIN_WAIT_MS = 5_000
/** What a mesh may leave in one mailbox, unless the relay's owner says otherwise. */
export const MAILBOX_BYTES_MAX = 256 * 1_048_576
export const MAILBOX_PACKETS_MAX = 100_000
export const PACKET_EXPIRY_MS_MAX = PREKEY_LIFE_MS
/** What is older has expired. */
export const MAILBOX_DAYS_BACK = PACKET_EXPIRY_MS_MAX / DAY_MS
/** Mailboxes that one session reads: a month of days, the day ahead, and those of a few pairings. */
export const OPEN_MAILBOXES_MAX = 64
/** Bytes queued for one connection before it is spilled to its mailbox. */
export const CONNECTION_QUEUE_BYTES_MAX = 4 * 1_048_576

/** Node silently truncates Unix socket paths over this many bytes. */
export const SOCKET_PATH_BYTES_MAX = 103
/** One JSON-RPC line on the local socket. */
export const DOOR_LINE_BYTES_MAX = 1_048_576
/** Packets of one sender that may arrive out of order. */
export const REPLAY_WINDOW_PACKETS = 1_024
export const PAIRING_LINK_MS = 10 * 60_000
/** Late blocks named in one call: more than a person names, and not so many that looking for them holds up others. */
export const LATE_BLOCKS_MAX = 1_024
