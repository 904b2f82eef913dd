import type { AgentId, NodeId, RecordHash } from '../ids.ts'
import type { Mesh, MeshAgent } from '../membership/mesh.ts'

/** One sync set of a term, in the order in which its holder signed them. */
export interface SetThen {
  readonly record: RecordHash
  readonly members: readonly NodeId[]
  readonly timeMs: number
}

/** Looks through the whole log: not for every write. */
export function setsOf(mesh: Mesh, agent: AgentId, term: RecordHash): SetThen[] {
  const sets: SetThen[] = []
  for (const { hash, body, timeMs } of mesh.records.values())
    if (body.type === 'sync' && body.agent === agent && body.term === term && !mesh.voided.has(hash))
      sets.push({ record: hash, members: body.members, timeMs })
  return sets.toSorted((a, b) => {
    if (mesh.isInPast(a.record, b.record)) return -1
    return mesh.isInPast(b.record, a.record) ? 1 : a.timeMs - b.timeMs || (a.record < b.record ? -1 : 1)
  })
}

/**
 * The last set that was named before the present term; null where none ever was. A term that named none has acknowledged
 * nothing by one, so that the set of the term before it still says who has what was acknowledged.
 */
export function setBefore(mesh: Mesh, { id, term, terms }: MeshAgent): readonly NodeId[] | null {
  const byRecord = new Map(terms.map((each) => [each.record, each]))
  for (let at = term?.previous ?? null; at !== null; at = byRecord.get(at)?.previous ?? null) {
    const last = setsOf(mesh, id, at).at(-1)
    if (last !== undefined) return last.members
  }
  return null
}

/** Who was in a set of the present term and is in it no longer, and since when. */
export function leftSince(mesh: Mesh, { id, term }: MeshAgent): { readonly node: NodeId; readonly atMs: number }[] {
  const left = new Map<NodeId, number>()
  let before: readonly NodeId[] = []
  for (const { members, timeMs } of term === null ? [] : setsOf(mesh, id, term.record)) {
    for (const node of before) if (!members.includes(node)) left.set(node, timeMs)
    for (const node of members) left.delete(node)
    before = members
  }
  return [...left].map(([node, atMs]) => ({ node, atMs }))
}
