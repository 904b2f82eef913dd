import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Failure } from '@sealmesh/protocol/errors'
import type { AgentId, IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import type { Secret } from '@sealmesh/protocol/keys'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Logger } from 'pino'
import type { DamageBook } from '../store/damage-book.ts'
import type { DocumentIndex } from '../store/document-index.ts'
import type { StandingStore } from '../store/standing-store.ts'
import type { ClosedSets } from './closed-sets.ts'
import type { Store } from '../store/store.ts'

/** What `Documents` uses of its node. */
export interface DocumentsDeps {
  readonly store: Store
  readonly index: DocumentIndex
  readonly damage: DamageBook
  readonly standings: StandingStore
  readonly closed: ClosedSets
  readonly sodium: Sodium
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly node: NodeId
  /** The fold of this moment. */
  readonly mesh: () => Mesh
  readonly signKey: Secret<'sign'>
  /** Minted for `node` (`mintIncarnation`), new at every start: peers refuse blocks under any other. */
  readonly incarnation: IncarnationId
  readonly random: (bytes: number) => Uint8Array
  readonly now: () => number
  /** Why nothing is to be written now under the agent's term, though it is ours: asked at the moment of the write. */
  readonly fence?: (agent: AgentId) => Failure | null
  /** A base that a peer sent was not taken, for `why`. */
  readonly baseRefused?: (name: DocumentName, code: string) => void
  /** How long a write of this node took until it was durable. */
  readonly onWritten?: (tookMs: number) => void
  readonly documentsOpenMax?: number
  readonly openBytesMax?: number
}
