import type { NodeId } from '@sealmesh/protocol/ids'
import type { Secret } from '@sealmesh/protocol/keys'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Logger } from 'pino'
import type { Config } from '../config/schema.ts'
import type { ClosedSets } from '../documents/closed-sets.ts'
import type { Documents } from '../documents/documents.ts'
import type { Meta } from '../store/meta.ts'
import type { ReceiptStore } from '../store/receipt-store.ts'
import type { Store } from '../store/store.ts'
import type { CommitTimes } from './commit-times.ts'
import type { DrillTalk } from './drill-talk.ts'
import type { IncidentSources } from './incidents.ts'
import type { Movers } from './movers.ts'

/** How long what is waited for. */
export interface Patience {
  /** A standby that comes to the recovery point. */
  readonly reachMs: number
  /** An answer: a holder that is there gives it within a second; one that rebuilds a large document, a little later. */
  readonly answerMs: number
  /** A handover back, again and again: the other node has to learn first what was written meanwhile. */
  readonly backMs: number
}

export const PATIENCE: Patience = { reachMs: 60_000, answerMs: 30_000, backMs: 60_000 }

/** What drills are between. They read of the node what is here, and write nothing but reports. */
export interface DrillsDeps extends DrillTalk {
  readonly node: NodeId
  readonly signKey: Secret<'sign'>
  readonly sodium: Sodium
  readonly mesh: () => Mesh
  readonly documents: Pick<Documents, 'names' | 'open' | 'after' | 'vectorOf' | 'isComing'>
  readonly store: Store
  readonly closed: ClosedSets
  readonly receipts: Pick<ReceiptStore, 'read'>
  readonly times: Pick<CommitTimes, 'around'>
  readonly incidents: Omit<IncidentSources, 'documents' | 'node'>
  readonly movers: Movers
  /** Compares heads with everybody now. */
  readonly askAgain: () => void
  readonly config: () => Config
  /** Of reports and sandboxes. */
  readonly directory: string
  readonly openStore: (directory: string) => Promise<Store>
  readonly meta: Meta
  readonly random: (bytes: number) => Uint8Array
  readonly now: () => number
  readonly monotonicMs: () => number
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly patience?: Partial<Patience>
}

/** For as long as one node runs. */
export interface DrillRun extends DrillsDeps {
  /** The node is being stopped. */
  readonly ending: AbortSignal
}
