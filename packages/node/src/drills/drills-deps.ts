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
  /** How long a standby may take to come to the recovery point. */
  readonly reachMs?: number
}
