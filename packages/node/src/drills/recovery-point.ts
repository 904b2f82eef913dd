import { toHex } from '@sealmesh/protocol/bytes'
import { entriesOf, type VersionVector } from '@sealmesh/protocol/crdt/clock'
import { isIncarnationOf } from '@sealmesh/protocol/crdt/incarnation'
import { countMissing, digestOf, joinTips } from '@sealmesh/protocol/crdt/vector'
import { vectorText } from '@sealmesh/protocol/drills/exchange'
import {
  type Earlier,
  type HolderAfter,
  type RecoveryPoint,
  RUNS_MAX,
  type TermFact,
} from '@sealmesh/protocol/drills/facts'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import { readersOf } from '@sealmesh/protocol/membership/access'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Documents } from '../documents/documents.ts'
import { decodeSent } from '../documents/history-blocks.ts'
import type { ReceiptStore } from '../store/receipt-store.ts'

interface From {
  readonly node: NodeId
  readonly mesh: () => Mesh
  readonly documents: Pick<Documents, 'names' | 'open' | 'after'>
  readonly receipts: Pick<ReceiptStore, 'read'>
  readonly sodium: Sodium
  readonly now: () => number
}

export interface NamedPoint {
  readonly point: RecoveryPoint
  readonly vectors: readonly { readonly vector: string; readonly receipted: string }[]
}

/** Where this node, the holder, stands with an agent: what the standby may read of it, and what it has receipted. */
export async function recoveryPoint(
  from: From,
  asked: {
    readonly drill: string
    readonly agent: AgentId
    readonly standby: NodeId
    readonly previous: Earlier | null
  },
  term: TermFact,
): Promise<NamedPoint> {
  const { node, documents, receipts, sodium, now } = from
  const mesh = from.mesh()
  const layers: RecoveryPoint['layers'] = []
  const vectors: { vector: string; receipted: string }[] = []
  const runs: RecoveryPoint['unacknowledged'] = []
  const named: string[] = []
  let others = 0
  let oldestMs: number | null = null
  const granted = new Set(mesh.agents.get(asked.agent)?.grants.map(({ layer }) => layer))
  const names = documents.names().filter(({ agent }) => agent === asked.agent)
  for (const name of names.toSorted((a, b) => (a.layer < b.layer ? -1 : 1))) {
    const { layer } = name
    if (!readersOf(mesh, asked.agent, layer).includes(asked.standby)) {
      if (granted.has(layer)) named.push(layer)
      else others += 1
      continue
    }
    // First what the standby has said: what is written in between it has not.
    const said = await receipts.read(asked.standby, name)
    const document = await documents.open(name)
    const { vector } = document
    // What it wrote itself it need not say that it has.
    const own = vector.filter(({ incarnation }) => isIncarnationOf(incarnation, asked.standby, sodium))
    const receipted = joinTips(said, own)
    const unacknowledged = countMissing(receipted, vector)
    layers.push({
      layer,
      vector: toHex(digestOf(vector, sodium)),
      digest: toHex(document.digest()),
      blocks: document.counts().received,
      unacknowledged,
    })
    vectors.push({ vector: vectorText(vector), receipted: vectorText(receipted) })
    if (unacknowledged === 0) continue
    runs.push(...runsBeyond(layer, receipted, vector))
    // One block at least, of the run with the oldest missing one.
    const { blocks } = await documents.after(name, receipted, 1)
    const oldest = blocks[0] === undefined ? undefined : decodeSent(blocks[0], sodium)
    if (oldest !== undefined) oldestMs = Math.min(oldestMs ?? Number.POSITIVE_INFINITY, oldest.header.time.wallMs)
  }
  const point: RecoveryPoint = {
    drill: asked.drill,
    mesh: mesh.id,
    agent: asked.agent,
    holder: node,
    standby: asked.standby,
    term,
    atMs: now(),
    layers,
    unacknowledged: runs.slice(0, RUNS_MAX),
    oldestUnacknowledgedMs: oldestMs,
    notGranted: { named, others },
    previous: asked.previous,
  }
  return { point, vectors }
}

/** The same documents, later. */
export async function layersNow(
  { documents }: Pick<From, 'documents'>,
  { agent, layers }: RecoveryPoint,
): Promise<HolderAfter['layers']> {
  const after: HolderAfter['layers'] = []
  for (const { layer } of layers) {
    const document = await documents.open({ agent, layer })
    after.push({ layer, blocks: document.counts().received, digest: toHex(document.digest()) })
  }
  return after
}

export function termOf(mesh: Mesh, agent: AgentId): TermFact | null {
  const term = mesh.agents.get(agent)?.term ?? null
  return term === null ? null : { number: term.number, record: term.record }
}

function runsBeyond(layer: string, receipted: VersionVector, vector: VersionVector): RecoveryPoint['unacknowledged'] {
  return vector.flatMap(({ incarnation, sequence }) => {
    const reached = entriesOf(receipted, incarnation).reduce((most, dot) => Math.max(most, dot.sequence), 0)
    return sequence > reached ? [{ layer, incarnation, from: reached + 1, to: sequence }] : []
  })
}
