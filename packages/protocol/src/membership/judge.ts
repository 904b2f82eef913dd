import type { Block, DocumentName } from '../crdt/block.ts'
import type { VersionVector } from '../crdt/clock.ts'
import type { Covers, Judge, Verdict } from '../crdt/verdict.ts'
import type { AgentId, NodeId, RecordHash } from '../ids.ts'
import { isSingleWriter } from './access.ts'
import { cutFor } from './lapse.ts'
import type { Ending, Grant, Mesh, MeshAgent } from './mesh.ts'
import type { Basis, Cut } from './record.ts'

/**
 * What the log says of a block (docs/spec/02-membership.md §12): a function of the block and the log alone. Rights
 * are looked up in the whole log, whenever they were given; what ended one says by its cut what still counts of it,
 * and a block made in knowledge of the end does not.
 */
export function judgeWith(mesh: Mesh): Judge {
  // Replaying a document asks the same of every block: who its author is to that document.
  const parts = new Map<string, Part>()
  const partOf = (author: NodeId, document: DocumentName): Part => {
    const key = author + document.agent + document.layer
    let part = parts.get(key)
    if (part === undefined) parts.set(key, (part = findPart(mesh, author, document)))
    return part
  }
  return (block, covers) => {
    const { header } = block
    if (header.mesh !== mesh.id) return voidFor('UNKNOWN_AUTHOR')
    if (!header.logHeads.every((head) => mesh.records.has(head))) return { type: 'unknown' }
    const part = partOf(header.author, header.document)
    if (part === 'unknown') return voidFor('UNKNOWN_AUTHOR')

    const standing = new Standing(mesh, block, covers)
    const membership = standing.judge(part.membership)
    if (membership !== 'stands') return voidFor(membership)
    if (part.silences.lapses.length > 0 && standing.isLapsed(part.silences)) return voidFor('LAPSED')
    return isSingleWriter(header.document.layer) ? judgeTerm(part, standing) : judgeRights(part.rights, standing)
  }
}

/**
 * Whether any record, ended or not, let `author` write the document: only then can some block of its count, now or
 * after a change of cuts. Blocks of others need not be kept. A record that comes later may turn false into true.
 */
export function mayEverWrite(mesh: Mesh, author: NodeId, document: DocumentName): boolean {
  const part = findPart(mesh, author, document)
  if (part === 'unknown') return false
  if (!isSingleWriter(document.layer)) return part.rights.length > 0
  return (part.agent?.terms.some(({ holder }) => holder === author) ?? false) || wasHolder(mesh, author, document.agent)
}

/** Until its removal, by a term that the removal made void: what it wrote then may lie at some node. */
function wasHolder(mesh: Mesh, author: NodeId, agent: AgentId): boolean {
  for (const [hash, reason] of mesh.voided) {
    if (reason !== 'SIGNER_REVOKED') continue
    const body = mesh.records.get(hash)?.body
    if (body?.type === 'assign' && body.agent === agent && body.holder === author) return true
  }
  return false
}

/** One way in which an author may write a document: every link of it has to hold. */
type Right = readonly Link[]

/** A thing that is given and may be ended. */
interface Link {
  /** Endings that nothing has made good: within one of their cuts, or not at all. */
  readonly endings: readonly Ending[]
  /** Every ending, and the records that gave the right (again): for what an author knew. */
  readonly known: { readonly ended: readonly RecordHash[]; readonly given: readonly RecordHash[] }
}

type Part =
  | 'unknown'
  | {
      readonly membership: Link
      readonly silences: Silences
      readonly rights: readonly Right[]
      readonly agent: MeshAgent | undefined
    }

interface Silences {
  readonly lapses: readonly Ending[]
  /** The author's prekey records: with the next one after a lapse it is back. */
  readonly returns: readonly RecordHash[]
}

type Outcome = 'stands' | 'NOT_A_WRITER' | 'BEYOND_CUT'

const voidFor = (reason: Extract<Verdict, { type: 'void' }>['reason']): Verdict => ({ type: 'void', reason })

/** One block's view of the log. */
class Standing {
  readonly block: Block
  readonly #mesh: Mesh
  readonly #covers: Covers

  constructor(mesh: Mesh, block: Block, covers: Covers) {
    this.#mesh = mesh
    this.block = block
    this.#covers = covers
  }

  judge(link: Link): Outcome {
    if (link.known.ended.some((end) => this.#knewEnd(end, link.known.given))) return 'NOT_A_WRITER'
    if (link.endings.length === 0) return 'stands'
    // One cut is enough: a second record by somebody who reads more documents adds to the first.
    return link.endings.some((ending) => this.isWithin(ending.cuts)) ? 'stands' : 'BEYOND_CUT'
  }

  /** Whether the author knew of this end, and of nothing that followed it and gave the right again. */
  #knewEnd(end: RecordHash, given: readonly RecordHash[]): boolean {
    if (!this.#knew(end)) return false
    return !given.some((again) => this.#mesh.isInPast(end, again) && this.#knew(again))
  }

  #knew(record: RecordHash): boolean {
    return this.block.header.logHeads.some((head) => this.#mesh.isInPast(record, head))
  }

  /**
   * Written in a silence that a lapse ended, and in no cut of it. Whoever knew of the lapse writes anew. Several lapses
   * of one silence add up; the cut of a later silence says nothing of an earlier one. A lapse without a cut for the
   * document is by somebody who may never have read it: it says nothing of the document at all.
   */
  isLapsed({ lapses, returns }: Silences): boolean {
    const isBetween = (from: RecordHash, to: RecordHash) =>
      returns.some((record) => this.#mesh.isInPast(from, record) && this.#mesh.isInPast(record, to))
    return lapses.some(({ record, cuts }) => {
      if (this.#knew(record) || cutFor(cuts, this.block.header.document) === undefined) return false
      return !lapses.some(
        (same) => !isBetween(record, same.record) && !isBetween(same.record, record) && this.isWithin(same.cuts),
      )
    })
  }

  isWithin(cuts: readonly Cut[]): boolean {
    const cut = cutFor(cuts, this.block.header.document)
    return cut !== undefined && this.isCovered(cut.vector)
  }

  isCovered(vector: VersionVector): boolean {
    return this.#covers(vector, this.block)
  }
}

/** Any right that holds is enough; otherwise the one that came closest names the reason. */
function judgeRights(rights: readonly Right[], standing: Standing): Verdict {
  let closest: Outcome = 'NOT_A_WRITER'
  for (const right of rights) {
    const outcomes = right.map((link) => standing.judge(link))
    if (outcomes.every((outcome) => outcome === 'stands')) return { type: 'fold' }
    if (!outcomes.includes('NOT_A_WRITER')) closest = 'BEYOND_CUT'
  }
  return voidFor(closest)
}

function judgeTerm({ agent, rights }: Exclude<Part, 'unknown'>, standing: Standing): Verdict {
  const { term, author, document } = standing.block.header
  const held = agent?.terms.find(({ record }) => record === term?.assign)
  if (term === null || held === undefined || held.number !== term.number || held.holder !== author)
    return voidFor('WRONG_TERM')
  // A holder whom the host list dropped counts within the cut, like any host.
  const hosting = judgeRights(rights, standing)
  if (hosting.type !== 'fold') return hosting
  const overtaken = agent?.terms.some(
    ({ number, basis }) => number > held.number && !standing.isCovered(basisOf(basis, document.layer)),
  )
  return overtaken ? { type: 'late', term: held.number } : { type: 'fold' }
}

/** A layer that an assign does not name starts from nothing. */
const basisOf = (basis: readonly Basis[], layer: string): VersionVector =>
  basis.find((each) => each.layer === layer)?.vector ?? []

function findPart(mesh: Mesh, author: NodeId, document: DocumentName): Part {
  const node = mesh.nodes.get(author)
  if (node === undefined) return 'unknown'
  const agent = mesh.agents.get(document.agent)
  const membership: Link = {
    endings: node.revocations,
    known: { ended: node.revocations.map(({ record }) => record), given: [] },
  }
  const hosting = hostLink(mesh, document.agent, author)
  const rights: Right[] = hosting === undefined ? [] : [[hosting]]
  if (agent !== undefined && !isSingleWriter(document.layer)) {
    for (const grant of agent.grants) {
      if (grant.layer !== document.layer || grant.access !== 'write') continue
      const right = grantRight(mesh, agent.id, grant, author)
      if (right !== undefined) rights.push(right)
    }
  }
  const silences: Silences = { lapses: node.lapses, returns: node.prekeys.map(({ record }) => record) }
  return { membership, silences, rights, agent }
}

function grantRight(mesh: Mesh, agent: AgentId, grant: Grant, author: NodeId): Right | undefined {
  const given: Link = {
    endings: grant.endings,
    known: { ended: grant.endings.map(({ record }) => record), given: [] },
  }
  switch (grant.to.type) {
    case 'node':
      return grant.to.node === author ? [given] : undefined
    case 'agent':
    case 'standby': {
      const hosting = hostLink(mesh, grant.to.type === 'agent' ? grant.to.agent : agent, author)
      return hosting === undefined ? undefined : [given, hosting]
    }
  }
}

/** Undefined when no host record of the agent ever named the node. */
function hostLink(mesh: Mesh, agent: AgentId, node: NodeId): Link | undefined {
  const hostings = mesh.agents.get(agent)?.hostings ?? []
  const given = hostings.filter(({ nodes }) => nodes.includes(node)).map(({ record }) => record)
  if (given.length === 0) return undefined
  const drops = hostings.flatMap(({ record, removed }): Ending[] =>
    removed.filter((each) => each.node === node).map(({ cuts }) => ({ record, cuts })),
  )
  return {
    endings: drops.filter(({ record }) => !given.some((again) => mesh.isInPast(record, again))),
    known: { ended: drops.map(({ record }) => record), given },
  }
}
