import type { Block } from '@sealmesh/protocol/crdt/block'
import type { AgentId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { Cut, RecordBody, SignedRecord } from '@sealmesh/protocol/membership/record'

/**
 * Who may read and what counts, said once more and in another way than the fold and the judge: by walking a log that
 * is one line of records from its beginning. Knows nothing of heads, pasts or positions in a ledger.
 */
export class Oracle {
  readonly #log: readonly RecordBody[]
  readonly #hashes: readonly RecordHash[]
  readonly #place = new Map<RecordHash, number>()

  constructor(records: readonly SignedRecord[]) {
    this.#log = records.map(({ body }) => body)
    this.#hashes = records.map(({ hash }) => hash)
    for (const [at, hash] of this.#hashes.entries()) this.#place.set(hash, at)
  }

  /** Whether `node` may read a layer, by the log's first `known` records. */
  reads(known: number, agent: AgentId, layer: string, node: NodeId): boolean {
    const log = this.#log.slice(0, known)
    if (log.some((body) => body.type === 'revoke' && body.node === node)) return false
    const last = log.findLast((body) => body.type === 'assign' && body.agent === agent)
    if (last?.type === 'assign' && last.holder === node && hostsOf(log, agent).includes(node)) return true
    return log.some((body, at) => {
      if (body.type !== 'grant' || body.agent !== agent || body.layer !== layer) return false
      if (this.#endsOf(at).some((end) => end.at < known)) return false
      if (body.to.type === 'node') return body.to.node === node
      return hostsOf(log, body.to.type === 'agent' ? body.to.agent : agent).includes(node)
    })
  }

  /** Whether a block counts, by the whole log. */
  counts({ header }: Pick<Block, 'header'>): boolean {
    const { author, document } = header
    // The line's last record that the author says it knew.
    const knew = Math.max(-1, ...header.logHeads.map((head) => this.#place.get(head) ?? -1))
    const stands = (ends: readonly End[], again: readonly number[] = []): boolean => {
      const healed = (end: End, upTo: number) => again.some((at) => at > end.at && at <= upTo)
      if (ends.some((end) => end.at <= knew && !healed(end, knew))) return false
      const open = ends.filter((end) => !healed(end, this.#log.length))
      return ends.every((end) => !open.includes(end)) || open.some(({ cuts }) => isWithin(header, cuts))
    }
    const revokes = this.#log.flatMap((body, at): End[] =>
      body.type === 'revoke' && body.node === author ? [{ at, cuts: body.cuts }] : [],
    )
    if (!stands(revokes) || this.#isLapsed(header, knew)) return false
    const hosted = (agent: AgentId): boolean => {
      const { given, dropped } = this.#hosting(agent, author)
      return given.length > 0 && stands(dropped, given)
    }
    if (document.layer === 'session') return hosted(document.agent) && this.#isOfItsTerm(header)
    return (
      hosted(document.agent) ||
      this.#log.some((body, at) => {
        if (body.type !== 'grant' || body.agent !== document.agent || body.layer !== document.layer) return false
        if (body.access !== 'write' || !stands(this.#endsOf(at))) return false
        if (body.to.type === 'node') return body.to.node === author
        return hosted(body.to.type === 'agent' ? body.to.agent : document.agent)
      })
    )
  }

  /** Written in a silence that was ended by a lapse that the author did not know of, and in no cut of that silence. */
  #isLapsed(header: Block['header'], knew: number): boolean {
    const isSame = (a: typeof header.document, b: typeof header.document): boolean =>
      a.agent === b.agent && a.layer === b.layer
    // A silence begins with the prekey by which its author was back from the one before.
    let cuts: Cut[] = []
    let isUnknown = false
    for (const [at, body] of this.#log.entries()) {
      if (body.type === 'lapse' && body.node === header.author) {
        if (!body.cuts.some(({ document }) => isSame(document, header.document))) continue // Not of this document.
        cuts.push(...body.cuts)
        isUnknown ||= at > knew
      } else if (body.type === 'prekey' && body.node === header.author) {
        if (isUnknown && !isWithin(header, cuts)) return true
        cuts = []
        isUnknown = false
      }
    }
    return isUnknown && !isWithin(header, cuts)
  }

  /** Its author held that term, and every later one starts from something that covers it. */
  #isOfItsTerm({ author, document, incarnation, sequence, term }: Block['header']): boolean {
    const at = term === null ? -1 : (this.#place.get(term.assign) ?? -1)
    const held = this.#log[at]
    if (held?.type !== 'assign' || held.holder !== author || held.agent !== document.agent) return false
    return this.#log.slice(at + 1).every((body) => {
      if (body.type !== 'assign' || body.agent !== document.agent) return true
      const basis = body.basis.find(({ layer }) => layer === document.layer)?.vector ?? []
      return basis.some((dot) => dot.incarnation === incarnation && dot.sequence >= sequence)
    })
  }

  #endsOf(grant: number): End[] {
    const hash = this.#hashes[grant]
    return this.#log.flatMap((body, at) =>
      body.type === 'ungrant' && body.grant === hash ? [{ at, cuts: body.cuts }] : [],
    )
  }

  #hosting(agent: AgentId, node: NodeId): { given: number[]; dropped: End[] } {
    const given: number[] = []
    const dropped: End[] = []
    let was = false
    for (const [at, body] of this.#log.entries()) {
      if (body.type !== 'host' || body.agent !== agent) continue
      const is = body.nodes.includes(node)
      if (is) given.push(at)
      if (was && !is) dropped.push({ at, cuts: body.cuts.find((each) => each.node === node)?.cuts ?? [] })
      was = is
    }
    return { given, dropped }
  }
}

interface End {
  readonly at: number
  readonly cuts: readonly Cut[]
}

function hostsOf(log: readonly RecordBody[], agent: AgentId): readonly NodeId[] {
  const last = log.findLast((body) => body.type === 'host' && body.agent === agent)
  return last?.type === 'host' ? last.nodes : []
}

/** No incarnation forks in these runs: a number says what a cut covers. */
function isWithin({ document, incarnation, sequence }: Block['header'], cuts: readonly Cut[]): boolean {
  return cuts.some(
    (cut) =>
      cut.document.agent === document.agent &&
      cut.document.layer === document.layer &&
      cut.vector.some((dot) => dot.incarnation === incarnation && dot.sequence >= sequence),
  )
}
