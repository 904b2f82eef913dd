import type { VersionVector } from '../crdt/clock.ts'
import { countMissing } from '../crdt/vector.ts'
import type { AgentId, NodeId } from '../ids.ts'
import { isSingleWriter, readersOf, SINGLE_WRITER_LAYERS } from '../membership/access.ts'
import type { Mesh } from '../membership/mesh.ts'

/** What another node last said that it has of the agent's documents. */
export interface PeerWord {
  readonly node: NodeId
  readonly heardAtMs: number
  readonly documents: readonly { readonly layer: string; readonly vector: VersionVector }[]
}

/** Blocks that a peer has named and that are not here. */
export interface Missing {
  readonly layer: string
  readonly blocks: number
  /** Who named them: any of these can still send them. */
  readonly namedBy: readonly NodeId[]
  /** What becomes of them if they come after the takeover. */
  readonly later: 'set-aside' | 'merged'
}

export type Unknowable =
  /** What the holder wrote after it was last heard (never, when null), and whether it still acts for the agent. */
  | { readonly type: 'holder-silent'; readonly holder: NodeId; readonly heardAtMs: number | null }
  /** Layers that this node may not read: they stay behind. */
  | { readonly type: 'not-granted'; readonly layers: readonly string[] }

export interface TakeoverPreview {
  readonly holder: NodeId | null
  readonly term: number
  readonly nextTerm: number
  /** What the new term starts from. */
  readonly known: readonly { readonly layer: string; readonly blocks: number }[]
  readonly mayBeLost: readonly Missing[]
  readonly cannotBeKnown: readonly Unknowable[]
}

/**
 * What a person sees before they confirm a manual takeover (docs/spec/02-membership.md §13). Undefined for an
 * agent that the mesh does not know.
 */
export function previewTakeover(view: {
  mesh: Mesh
  agent: AgentId
  node: NodeId
  documents: readonly { readonly layer: string; readonly vector: VersionVector }[]
  words: readonly PeerWord[]
}): TakeoverPreview | undefined {
  const { mesh, node, documents, words } = view
  const agent = mesh.agents.get(view.agent)
  if (agent === undefined) return undefined
  const holder = agent.term?.holder ?? null
  const mine = new Map(documents.map(({ layer, vector }) => [layer, vector]))
  const others = words.filter((word) => word.node !== node)
  const layers = new Set([...mine.keys(), ...others.flatMap((word) => word.documents.map(({ layer }) => layer))])

  const cannotBeKnown: Unknowable[] = []
  if (holder !== null && holder !== node) {
    const heardAtMs = others.find((word) => word.node === holder)?.heardAtMs ?? null
    cannotBeKnown.push({ type: 'holder-silent', holder, heardAtMs })
    const named = new Set([...SINGLE_WRITER_LAYERS, ...agent.grants.map(({ layer }) => layer), ...layers])
    const unread = [...named].filter((layer) => !readersOf(mesh, agent.id, layer).includes(node)).toSorted()
    if (unread.length > 0) cannotBeKnown.push({ type: 'not-granted', layers: unread })
  }

  return {
    holder,
    term: agent.term?.number ?? 0,
    nextTerm: (agent.term?.number ?? 0) + 1,
    known: [...mine].map(([layer, vector]) => ({ layer, blocks: countMissing([], vector) })).toSorted(byLayer),
    mayBeLost: [...layers].flatMap((layer) => missingOf(layer, mine.get(layer) ?? [], others)).toSorted(byLayer),
    cannotBeKnown,
  }
}

function missingOf(layer: string, mine: VersionVector, words: readonly PeerWord[]): Missing[] {
  const ahead = words.flatMap(({ node, documents }) => {
    const vector = documents.find((each) => each.layer === layer)?.vector ?? []
    const blocks = countMissing(mine, vector)
    return blocks > 0 ? [{ node, blocks }] : []
  })
  if (ahead.length === 0) return []
  // Peers mostly name the same blocks, so that the most that one of them named is the least that is missing.
  const blocks = Math.max(...ahead.map((each) => each.blocks))
  const namedBy = ahead.map(({ node }) => node).toSorted()
  return [{ layer, blocks, namedBy, later: isSingleWriter(layer) ? 'set-aside' : 'merged' }]
}

const byLayer = (a: { readonly layer: string }, b: { readonly layer: string }): number => (a.layer < b.layer ? -1 : 1)
