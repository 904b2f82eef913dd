import type { DocumentName } from '../crdt/block.ts'
import type { VersionVector } from '../crdt/clock.ts'
import type { RecordHash } from '../ids.ts'
import type { DocumentVector, SyncItem } from './payload.ts'

/** What goes into the core of one peer and what comes out of it (`PeerSync`). */

export interface Rights {
  /** The peer may read it: we push to it. */
  readonly peerReads: boolean
  /** Both may read it, so both should hold the same. */
  readonly bothRead: boolean
  /** Where the peer may not: whether we may. */
  readonly iRead?: boolean | undefined
}

export interface SharedNow extends Rights {
  readonly name: DocumentName
  readonly vector: VersionVector
  /** The peer's last durable word from the store; empty when it has never said anything. */
  readonly receipted: VersionVector
  /** What the relay has answered for, from the store, if it is the same relay still. */
  readonly handed?: VersionVector
  /** Others brought all of it here just now, and bring it to the peer as well: only holes are ours to fill. */
  readonly brought?: boolean
}

/** One document as the core of one peer sees it. */
export interface Shared {
  readonly name: DocumentName
  peerReads: boolean
  bothRead: boolean
  iRead: boolean | undefined
  mine: VersionVector
  receipted: VersionVector
  /** What it had receipted in the last packet whose log heads are known here; undefined when that is `receipted`. */
  confirmed: VersionVector | undefined
  handed: VersionVector
  /** Of our own blocks, what the relay has said it stored for the peer in this run, with nothing missing before it. */
  stored: VersionVector
  sent: VersionVector
  named: VersionVector | undefined
  /** Its last word was a question: what it wrote itself and did not name there it has lost. */
  lostOwn: boolean
  askedAtMs: number
  /** Since when a question that is on its way has had no answer. */
  askedSinceMs: number | undefined
  pushedAtMs: number
  toSend: number
  toReceive: number
}

export interface Push {
  readonly name: DocumentName
  readonly after: VersionVector
}

export interface Plan {
  readonly items: readonly SyncItem[]
  /** Send the records that these heads do not cover; null for none. */
  readonly recordsAfter: readonly RecordHash[] | null
  /** Blocks to add, as many as fit. */
  readonly pushes: readonly Push[]
  readonly plannedAtMs: number
  readonly owed: {
    /** What was said of each. */
    readonly receipts: readonly { readonly shared: Shared; readonly mine: VersionVector }[]
    readonly asking: readonly Shared[]
  }
}

/** How far a packet brings one document: from what the peer was taken to have. */
export interface Reached extends DocumentVector {
  readonly after: VersionVector
}

/** What the peer says it has durably received: for the store. */
export type Receipt = DocumentVector

export interface PeerView {
  readonly toSend: number
  readonly toReceive: number | null
  readonly lastHeardAtMs: number | null
}

/** What the last heads of a peer showed, and what has been asked and said since those before. */
export interface HeadsView {
  readonly differs: boolean
  readonly sameLog: boolean
  readonly asked: boolean
  readonly answered: boolean
  /** Documents of which either lacks something, or that were asked for. */
  readonly documents: readonly Pick<Shared, 'name' | 'mine' | 'named' | 'receipted' | 'handed' | 'askedSinceMs'>[]
}

export interface Standing {
  readonly name: DocumentName
  readonly peerReads: boolean
  readonly bothRead: boolean
  /** What of it is durable here and the peer's business. */
  readonly mine: VersionVector
  readonly receipted: VersionVector
  /** What the peer has said that it holds; undefined when it has said nothing in this run. */
  readonly named: VersionVector | undefined
  /** Blocks that the peer has not receipted, and blocks that it named and we lack. */
  readonly toSend: number
  readonly toReceive: number
}

/** Whether an answer about it is of any use: who reads it no more, and has written nothing that we lack, need not give one. */
export const isWaitedFor = ({ peerReads, bothRead, toReceive }: Shared): boolean =>
  peerReads || bothRead || toReceive > 0

/** `matches`: the peer's root is ours, so that it holds what we do of all that both read. */
export const standingOf = (shared: Shared, matches: boolean): Standing => {
  const { name, peerReads, bothRead, mine, receipted, toSend, toReceive } = shared
  const named = shared.named ?? (bothRead && matches ? mine : undefined)
  return { name, peerReads, bothRead, mine, receipted, named, toSend, toReceive }
}

export const NOTHING: VersionVector = Object.freeze([])

/** As it is before anything has been said of it here. */
export const newShared = (
  { name, peerReads, bothRead, iRead, handed = NOTHING }: SharedNow,
  vectors: Pick<Shared, 'mine' | 'receipted' | 'sent'>,
): Shared => ({
  name,
  peerReads,
  bothRead,
  iRead,
  ...vectors,
  handed,
  stored: NOTHING,
  confirmed: undefined,
  named: undefined,
  lostOwn: false,
  askedAtMs: Number.NEGATIVE_INFINITY,
  askedSinceMs: undefined,
  pushedAtMs: Number.NEGATIVE_INFINITY,
  toSend: 0,
  toReceive: 0,
})
