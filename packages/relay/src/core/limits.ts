import {
  CONNECTION_QUEUE_BYTES_MAX,
  LOGIN_WAIT_MS,
  MAILBOX_BYTES_MAX,
  MAILBOX_PACKETS_MAX,
} from '@sealmesh/protocol/limits'

/** What an owner may tune. Defaults suit a machine with 512 MB. */
export interface RelayLimits {
  readonly loginWaitMs: number
  readonly mailboxBytesMax: number
  readonly mailboxPacketsMax: number
  /** All mailboxes of a mesh together. */
  readonly meshBytesMax: number
  readonly meshPacketsMax: number
  /** Mailboxes of a mesh that nobody reads now: a node that is away has one for each day. */
  readonly meshMailboxesMax: number
  /** Of these, what one login has begun by sending to them. */
  readonly loginMailboxesMax: number
  /** Secrets that one login names in a minute, in all its sessions: each costs a hash, also when it is not new. */
  readonly loginOpensMax: number
  /** Delivered and not yet acknowledged, per connection; beyond it packets go to the mailbox. */
  readonly unackedBytesMax: number
  /** Sent and not yet answered, per connection; beyond it the relay stops reading from it. */
  readonly unansweredBytesMax: number
  /** A reader that has been at its cap for so long without acknowledging anything is cut. */
  readonly stallMs: number
  /** Nodes ping every 20 s: after three missed ones nobody is there. */
  readonly silenceMs: number
  /** What one login may send for long, in all its sessions; beyond it the relay reads from it more slowly. */
  readonly loginSendBytesPerSecond: number
  readonly loginSendPacketsPerSecond: number
  /** Of one mesh: each of its nodes twice, since the connection that a node has left behind stays for a while. */
  readonly meshConnectionsMax: number
  /** Nodes and open invites of one mesh. */
  readonly meshLoginsMax: number
  /** One for each node, and as many again. */
  readonly meshSlotsMax: number
  /** Questions about slots that wait for others, per connection. */
  readonly slotQuestionsMax: number
  /** Snapshots of one node, and of all nodes of a mesh. */
  readonly loginVaultBytesMax: number
  readonly meshVaultBytesMax: number
  /** Pieces of them: each costs some 170 B of memory. */
  readonly loginVaultChunksMax: number
  readonly meshVaultChunksMax: number
  /** Pieces that one connection has asked for and not been given: what it does not read waits in memory. */
  readonly vaultReadsMax: number
  /** Removed login and admin keys that are remembered for one mesh. */
  readonly meshRevocationsMax: number
  /** Connections of one address that have not logged in yet. */
  readonly addressGreetingsMax: number
  /** Failed logins of one address within a minute. */
  readonly addressFailuresMax: number
}

/** Of one mesh, whose nodes have a mailbox for each day: eight full ones in bytes, four in packets. */
export const MESH_BYTES_MAX = 8 * MAILBOX_BYTES_MAX
export const MESH_PACKETS_MAX = 4 * MAILBOX_PACKETS_MAX
/** Five hundred nodes that have been away for four weeks. */
export const MESH_MAILBOXES_MAX = 16_384

/** A store of a gigabyte, compressed, and what changed in it between three snapshots. */
export const LOGIN_VAULT_BYTES_MAX = 512 * 1_048_576

export const DEFAULT_LIMITS: RelayLimits = {
  loginWaitMs: LOGIN_WAIT_MS,
  mailboxBytesMax: MAILBOX_BYTES_MAX,
  mailboxPacketsMax: MAILBOX_PACKETS_MAX,
  meshBytesMax: MESH_BYTES_MAX,
  meshPacketsMax: MESH_PACKETS_MAX,
  meshMailboxesMax: MESH_MAILBOXES_MAX,
  // Two hundred peers that are away for a week, or seventy for four.
  loginMailboxesMax: 2_048,
  // Over two hundred times all that a node reads: a sixth of a second of hashing.
  loginOpensMax: 8_192,
  unackedBytesMax: CONNECTION_QUEUE_BYTES_MAX,
  unansweredBytesMax: CONNECTION_QUEUE_BYTES_MAX,
  stallMs: 10_000,
  silenceMs: 70_000,
  // A quarter of a gigabit, and more packets than a node can seal.
  loginSendBytesPerSecond: 33_554_432,
  loginSendPacketsPerSecond: 50_000,
  meshConnectionsMax: 2_048,
  meshLoginsMax: 1_024,
  meshSlotsMax: 2_048,
  slotQuestionsMax: 16,
  loginVaultBytesMax: LOGIN_VAULT_BYTES_MAX,
  meshVaultBytesMax: 4 * LOGIN_VAULT_BYTES_MAX,
  // At the sizes that nodes cut: a gigabyte.
  loginVaultChunksMax: 16_384,
  meshVaultChunksMax: 65_536,
  vaultReadsMax: 4,
  meshRevocationsMax: 16_384,
  addressGreetingsMax: 64,
  addressFailuresMax: 30,
}

/** One read from disk for a reader that catches up: a frame's worth, so that no turn is long. */
export const DRAIN_READ_BYTES = 262_144
export const ADDRESS_WINDOW_MS = 60_000
export const OPENS_WINDOW_MS = 60_000
/** Addresses that are remembered: an attacker with more of them is a matter for a firewall. */
export const ADDRESSES_MAX = 10_000
export const EXPIRY_SWEEP_MS = 60_000
/** How long nodes are asked to stay away while the disk is full. */
export const DISK_RETRY_MS = 5_000
