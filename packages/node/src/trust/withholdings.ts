import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { countMissing } from '@sealmesh/protocol/crdt/vector'
import type { NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { type Withheld, Withholding } from '@sealmesh/protocol/sync/withholding'
import type { HeardHeads } from '../sync/mesh-sync-deps.ts'

const BULK_BLOCKS = 1_000

export interface WithholdingsDeps {
  readonly mesh: () => Mesh
  /** What to add to a monotonic time for one on the wall. */
  readonly aheadMs: () => number
  /** It is being taken over as a whole, is damaged, or stays as it is until a person has decided. */
  readonly isBusy: (name: DocumentName) => boolean
  readonly onNews: (from: NodeId, withheld: Withheld, healed: boolean) => void
}

/** What does not come through between this node and each peer. Gone with the process: the next heartbeats say it anew. */
export class Withholdings {
  readonly #deps: WithholdingsDeps
  readonly #peers = new Map<NodeId, Withholding>()

  constructor(deps: WithholdingsDeps) {
    this.#deps = deps
  }

  heard(from: NodeId, { documents, ...heard }: HeardHeads): void {
    const { mesh, isBusy, onNews } = this.#deps
    const peer = this.#peers.get(from) ?? new Withholding()
    this.#peers.set(from, peer)
    const ownHeads: readonly RecordHash[] = mesh().heads
    const compared = documents.map((each) => {
      // Who takes over as much may be at it for minutes, and says so itself if it does not come.
      const isBulk = countMissing(each.receipted, each.handed) >= BULK_BLOCKS
      return { ...each, handed: isBulk ? [] : each.handed, isBusy: isBusy(each.name) }
    })
    const { raised, healed } = peer.heartbeat({ ...heard, ownHeads, documents: compared })
    for (const each of raised) onNews(from, each, false)
    for (const each of healed) onNews(from, each, true)
  }

  /** Of members. */
  all(): { readonly from: NodeId; readonly withheld: Withheld }[] {
    const { nodes } = this.#deps.mesh()
    const aheadMs = this.#deps.aheadMs()
    for (const node of this.#peers.keys()) if (nodes.get(node)?.revocations.length !== 0) this.#peers.delete(node)
    return [...this.#peers].flatMap(([from, peer]) =>
      peer.open.map((each) => {
        const { sinceMs, lastMs } = each
        return { from, withheld: { ...each, sinceMs: sinceMs + aheadMs, lastMs: lastMs + aheadMs } }
      }),
    )
  }
}
