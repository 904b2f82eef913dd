import type { ChunkId, MailboxId, MeshId, RelayId, SlotId, VaultId } from '@sealmesh/protocol/ids'
import type { LoginPublicKey, Secret } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { FrameOf, Outcome } from '@sealmesh/protocol/wire/frame'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import type { VaultSnapshot } from '@sealmesh/protocol/wire/vault'
import type { Fifo } from './fifo.ts'
import type { KeyName } from './key-name.ts'
import type { RelayLimits } from './limits.ts'
import { newSendRate, type SendRate } from './reading.ts'
import type { Slab, Slabs } from './slabs.ts'
import type { Repeats } from './repeats.ts'
import { newSightings, type Sightings } from './sightings.ts'

/**
 * All that a relay knows. Owned and changed by the core alone, one event at a time; the numbered invariants are
 * cited where they are kept.
 *
 * 1. A mailbox's entries have growing sequences, and are delivered in that order; those of a mailbox that its reader
 *    named before another go first.
 * 2. An entry's packet is in memory until it is on disk; a packet is on disk, or in memory with a reader connected.
 * 3. `stored` is answered only after the event that says that the write is durable.
 * 4. An entry goes when its reader acknowledges it, when it expires, or with its reader's login; one that is not on
 *    disk also when its reader leaves it and there is no room. Its relay's owner may take it out. For nothing else.
 * 5. Nothing that outlives a session names a login and a mailbox, or two mailboxes, but an invite and its inviter's.
 */
export interface RelayState {
  /** Replaced as a whole when its owner changes one. */
  limits: RelayLimits
  readonly relay: RelayId
  readonly generation: Uint8Array
  /** Sessions in this generation; durable before a session may see it. */
  counter: number
  readonly meshes: Map<MeshId, MeshState>
  readonly logins: Map<KeyName, Login>
  readonly connections: Map<ConnectionId, Connection>
  /** The id of a mailbox that lies at a place in these bytes. */
  readonly nameAt: (bytes: Uint8Array, at: number) => MailboxId
  /** Memory of packets that readers have in hand. */
  readonly slabs: Slabs
  /** What waits for the disk, by receipt. */
  readonly pending: Map<number, Pending>
  nextReceipt: number
  /** Those of which nothing is read while their login is over its rate. */
  readonly slowed: Set<Connection>
  readonly addresses: Map<string, AddressState>
  /** Codes that have been used; their files may not be gone yet. */
  readonly spentClaims: Set<string>
  /** What a relay of a cluster has stored lately: null where there is no cluster. */
  repeats: Repeats | null
  /** Null while packets may be stored. */
  diskTrouble: 'DISK_FULL' | 'DISK_FAILED' | null
  stopping: boolean
  sweptMs: number
}

export type ConnectionId = number

export interface World {
  readonly nowMs: number
  /** Since this process began, of a clock that nobody sets and that stands still while the machine sleeps. */
  readonly steadyMs: number
  readonly sodium: Sodium
  readonly secretKey: Secret<'sign'>
}

export interface MeshState {
  readonly id: MeshId
  /** Its owner lets nobody of it in any more; what it has stays until it expires. */
  barred: boolean
  readonly seen: Sightings
  readonly revokedLogins: Set<KeyName>
  readonly revokedAdmins: Set<KeyName>
  logins: number
  /** Of its logins, those that are being admitted included. */
  connections: number
  readonly mailboxes: Map<MailboxId, Mailbox>
  readonly slots: Map<SlotId, Slot>
  readonly vaults: Map<VaultId, Vault>
  /** Of all vaults, chunks that are on disk or on their way there. */
  vaultBytes: number
  vaultChunks: number
  /** Of `mailboxes`, those without a reader. */
  unopened: number
  /** Of all entries that are on disk or on their way there. */
  bytes: number
  packets: number
}

export interface Login {
  readonly name: KeyName
  readonly mesh: MeshState
  record: LoginRecord
  /** Whether the disk has this record: it is not written again, beside what its session reads. */
  isKept: boolean
  reader: Connection | null
  /** Older connections of the same login, oldest first. */
  readonly idle: Connection[]
  /** Mailboxes that its packets began, those without a reader. */
  unopened: number
  /** What it has named to open them, and since when that is counted. */
  opens: number
  opensMs: number
  readonly sendRate: SendRate
}

/** What the relay keeps of a login. */
export interface LoginRecord {
  readonly mesh: MeshId
  readonly kind: 'node' | 'invite'
  /** The one mailbox that an invite may write to. */
  readonly onlyTo: MailboxId | null
  /** 0: never. */
  readonly expiresMs: number
  /** Null unless it is an admin. */
  readonly admin: KeyName | null
  /** The admins through whom it was let in. */
  readonly through: readonly KeyName[]
}

export interface Mailbox {
  readonly id: MailboxId
  readonly mesh: MeshState
  /** Whose packet was the first of what it keeps; null also if that was before a start. */
  by: Login | null
  readonly entries: Fifo<Entry>
  /** The sequence of the next packet. */
  next: number
  /** Of the entries that are on disk or on their way there. */
  bytes: number
  packets: number
  /** Packets dropped for age, quota or a full disk since the reader last heard of it. */
  lost: number
  lostMs: number
  /** A lower bound of the entries' expiries. */
  expiresMs: number
  reader: Connection | null
  /** The highest sequence that was handed to its reader. */
  sent: number
  /** Of `lost`, what its reader was told. */
  lostTold: number
}

export interface Entry {
  readonly mailbox: Mailbox
  /** Whose packet it is, until it is on disk. */
  from: Login | null
  readonly sequence: number
  readonly bytes: number
  readonly expiresMs: number
  /** Its packet, where the slab holds more than that. */
  packet: Uint8Array | null
  /** Holds its packet, until that is on disk. */
  slab: Slab | null
  /** Whether it counts for the mailbox's quota and has, or will have, a place on disk. */
  durable: boolean
  /** Its number in the session that has it in hand. */
  handed: number
}

/** What is durable of it, or will be when `writing` ends. */
export interface Slot {
  readonly id: SlotId
  /** Null until its first blob is durable. */
  content: SlotContent | null
  /** Steady time: since when the blob has lain there; 0 for one that a start found. */
  sinceMs: number
  /** The blob that the disk is taking: until it has, nobody is told of either. */
  writing: SlotContent | null
  readonly waiting: SlotQuestion[]
}

export interface SlotContent {
  readonly counter: number
  readonly blob: Uint8Array
  readonly hash: Uint8Array
}

/** What one login has left of its snapshots. It outlives the login. */
export interface Vault {
  readonly id: VaultId
  readonly chunks: Map<ChunkId, VaultChunk>
  /** Whole ones, oldest first. */
  readonly snapshots: VaultSnapshot[]
  bytes: number
  /** The one that is being left. */
  draft: VaultDraft | null
}

export interface VaultChunk {
  readonly bytes: number
  /** The newest snapshot that it belongs to; 0 for none. */
  kept: number
  /** How many writes of it are on their way to the disk, and whether one has arrived. */
  writing: number
  durable: boolean
}

export interface VaultDraft {
  readonly connection: Connection
  readonly chunks: Set<ChunkId>
  /** It is being made durable: nothing of it changes. */
  keeping: boolean
}

export interface SlotQuestion {
  readonly connection: Connection
  readonly frame: FrameOf<'readSlot' | 'setSlot'>
}

export interface Connection {
  readonly id: ConnectionId
  readonly address: string
  readonly nonce: Uint8Array
  readonly openedMs: number
  heardMs: number
  /** `greeting` until its login is judged, `admitting` while the session's counter is written. */
  state: 'greeting' | 'admitting' | 'active' | 'idle' | 'leaving'
  login: Login | null
  loginKey: LoginPublicKey | null
  /** What it has named, in its order; it reads these while it is active. */
  wanted: readonly MailboxId[]
  open: readonly Mailbox[]
  /** Since when a newer one of the same login has its place; null again once the newer one was told that this lives. */
  idleSinceMs: number | null
  /** How many packets this session was handed, and those that it has not acknowledged. */
  handed: number
  inHand: Fifo<Entry>
  unackedBytes: number
  /** Everything that its mailboxes hold has been handed over. */
  isCaughtUp: boolean
  /** The number of a ping that is answered when it is; 0 for none. */
  pongOwed: number
  /** When it last acknowledged something, or began to owe. */
  progressMs: number
  /** The read from disk that is on its way. */
  reading: { readonly read: number; readonly mailbox: Mailbox } | null
  drainedTold: boolean
  lostTold: number
  /** Questions about slots that wait for others. */
  slotQuestions: number
  /** Chunks that it has asked for and not been given. */
  vaultReads: number
  unansweredBytes: number
  /** Nothing is read from it while too much of it waits for the disk, or while its login is over its rate. */
  isFull: boolean
  isSlowed: boolean
  /** Steady time at which it was last told so. */
  slowedToldMs: number
}

export interface AddressState {
  greetings: number
  failures: number
  windowMs: number
}

export type Pending =
  | {
      readonly type: 'packet'
      readonly connection: Connection
      /** Steady time: when it came. */
      readonly sinceMs: number
      /** Of the packet, what its answer needs. */
      readonly head: Uint8Array
      readonly bytes: number
      /** As `repeats` knows it; null where nothing is remembered. */
      readonly repeat: string | null
      readonly outcomes: Outcome[]
      /** The outcomes that wait, by their place among the recipients. */
      readonly waiting: readonly { readonly at: number; readonly entry: Entry }[]
    }
  | { readonly type: 'spill'; readonly mailbox: Mailbox; readonly entries: readonly Entry[] }
  | {
      readonly type: 'login'
      readonly connection: Connection
      readonly login: Login
      readonly nodeNonce: Uint8Array
      readonly counter: number
      readonly claim: string | null
    }
  | { readonly type: 'slot'; readonly mesh: MeshState; readonly slot: Slot; readonly question: SlotQuestion }
  | {
      readonly type: 'vaultChunk'
      readonly connection: Connection
      readonly request: number
      readonly mesh: MeshState
      readonly vault: Vault
      readonly chunk: ChunkId
      readonly bytes: number
    }
  | {
      readonly type: 'vaultKeep'
      readonly connection: Connection
      readonly request: number
      readonly mesh: MeshState
      readonly vault: Vault
      readonly draft: VaultDraft
      readonly snapshot: VaultSnapshot
      readonly dropped: readonly ChunkId[]
    }
  | { readonly type: 'request'; readonly connection: Connection; readonly request: number }

export const refused = (reason: Reason): Outcome => ({ outcome: 'refused', reason })

export const loginOf = (name: KeyName, mesh: MeshState, record: LoginRecord, isKept: boolean): Login => ({
  name,
  mesh,
  record,
  isKept,
  reader: null,
  idle: [],
  unopened: 0,
  opens: 0,
  opensMs: 0,
  sendRate: newSendRate(),
})

export const newMesh = (id: MeshId): MeshState => ({
  id,
  barred: false,
  seen: newSightings(),
  revokedLogins: new Set(),
  revokedAdmins: new Set(),
  logins: 0,
  connections: 0,
  mailboxes: new Map(),
  slots: new Map(),
  vaults: new Map(),
  vaultBytes: 0,
  vaultChunks: 0,
  unopened: 0,
  bytes: 0,
  packets: 0,
})
