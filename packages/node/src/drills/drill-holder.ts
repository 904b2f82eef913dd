import { canonicalText } from '@sealmesh/protocol/drills/canonical'
import type { DrillWord } from '@sealmesh/protocol/drills/exchange'
import type { Earlier, HolderAfter } from '@sealmesh/protocol/drills/facts'
import { inconsistencyOf, isSignedBy, type Report, signPoint, signReport } from '@sealmesh/protocol/drills/report'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { DrillBook } from './drill-book.ts'
import { sayInDrill } from './drill-talk.ts'
import type { DrillsDeps } from './drills-deps.ts'
import { incidentsOf } from './incidents.ts'
import { layersNow, type NamedPoint, recoveryPoint, termOf } from './recovery-point.ts'

/** A standby that is gone must not keep others from drilling. */
const OPEN_MS = 10 * 60_000
const REASONS_MAX = 16

interface Open {
  readonly drill: string
  readonly standby: NodeId
  readonly agent: AgentId
  readonly beganMs: number
  /** Empty for an agent that nothing speaks against. */
  readonly named: Promise<{ readonly reasons: readonly string[] } | (NamedPoint & { readonly signature: string })>
  after: Promise<HolderAfter> | undefined
  isOver: boolean
}

/** The holder's side of drills: names a recovery point, looks again afterwards, signs what is so. */
export class DrillHolder {
  readonly #deps: DrillsDeps
  readonly #book: DrillBook
  #open: Open | undefined

  constructor(deps: DrillsDeps, book: DrillBook) {
    this.#deps = deps
    this.#book = book
  }

  isBusy(agent: AgentId): boolean {
    const open = this.#running()
    return open?.agent === agent && !open.isOver
  }

  async onWord(from: NodeId, drill: string, word: DrillWord): Promise<void> {
    if (word.word === 'ask') return this.#asked(from, drill, word)
    const open = this.#running()
    if (open === undefined || open.drill !== drill || open.standby !== from) return
    const named = await open.named
    if ('reasons' in named) return
    if (word.word === 'done') {
      open.after ??= this.#after(open, named)
      this.#say(from, drill, { word: 'after', after: await open.after })
    }
    if (word.word !== 'report' || open.after === undefined) return
    const { report, signature } = word
    const after = await open.after
    const flaw = this.#flawOf(report, signature, from, named, after)
    if (flaw !== undefined) return void this.#say(from, drill, { word: 'refused', reasons: [flaw] })
    const { signKey, sodium, node } = this.#deps
    const own = signReport(report, signKey, sodium)
    const signatures = [
      { node: from, signature },
      { node, signature: own },
    ]
    await this.#book.file({ report, signatures })
    open.isOver = true
    this.#say(from, drill, { word: 'signed', signature: own })
  }

  async #asked(from: NodeId, drill: string, ask: Extract<DrillWord, { word: 'ask' }>): Promise<void> {
    const running = this.#running()
    const isSame = running?.drill === drill && running.standby === from
    // One that asks anew has given up its last one.
    if (running !== undefined && running.standby !== from && !running.isOver)
      return void this.#say(from, drill, { word: 'refused', reasons: ['another drill is running on the holder'] })
    const open: Open =
      running !== undefined && isSame
        ? running
        : {
            drill,
            standby: from,
            agent: ask.agent,
            beganMs: this.#deps.monotonicMs(),
            named: this.#name(from, drill, ask),
            after: undefined,
            isOver: false,
          }
    this.#open = open
    const named = await open.named
    if ('reasons' in named) {
      if (this.#open === open) this.#open = undefined
      return void this.#say(from, drill, { word: 'refused', reasons: named.reasons.slice(0, REASONS_MAX) })
    }
    const { point, vectors, signature } = named
    if (!this.#say(from, drill, { word: 'point', point, signature, vectors: [...vectors] }))
      this.#say(from, drill, { word: 'refused', reasons: ['the agent was written by too many runs for one packet'] })
  }

  async #name(
    from: NodeId,
    drill: string,
    { agent, last }: Extract<DrillWord, { word: 'ask' }>,
  ): Promise<Awaited<Open['named']>> {
    const { node, documents, incidents, signKey, sodium } = this.#deps
    const mesh = this.#deps.mesh()
    const known = mesh.agents.get(agent)
    const term = termOf(mesh, agent)
    const reasons = incidentsOf({ ...incidents, node, documents }, mesh, agent)
    if (known?.term?.holder !== node) reasons.push('the node that was asked does not hold the agent')
    if (known?.hosts.includes(from) !== true) reasons.push('the node that asks is no host of the agent')
    if (reasons.length > 0 || term === null) return { reasons }
    const named = await recoveryPoint(
      this.#deps,
      { drill, agent, standby: from, previous: later(this.#book.end(agent), last) },
      term,
    )
    return { ...named, signature: signPoint(named.point, signKey, sodium) }
  }

  async #after({ agent, beganMs }: Open, { point }: NamedPoint): Promise<HolderAfter> {
    // Before documents are looked at again: that would count as load of the drill.
    const latency = this.#deps.times.around(beganMs)
    return { term: termOf(this.#deps.mesh(), agent), layers: await layersNow(this.#deps, point), latency }
  }

  /** Why it is not to be signed; undefined: it is so. */
  #flawOf(
    report: Report,
    signature: string,
    from: NodeId,
    { point, signature: pointSignature }: NamedPoint & { readonly signature: string },
    after: HolderAfter,
  ): string | undefined {
    const { sodium, node } = this.#deps
    const { nodes, agents } = this.#deps.mesh()
    const standby = nodes.get(from)
    if (standby === undefined || !isSignedBy(report, signature, standby.signKey, sodium))
      return 'the report is not signed by the standby'
    if (canonicalText(report.facts.point) !== canonicalText(point) || report.facts.pointSignature !== pointSignature)
      return 'the report begins with another recovery point'
    if (canonicalText(report.facts.holderAfter) !== canonicalText(after))
      return 'the report says of the holder what it did not say'
    const names = [report.agent.name, report.holder.name, report.standby.name]
    if (
      canonicalText(names) !==
      canonicalText([agents.get(point.agent)?.name ?? '', nodes.get(node)?.name ?? '', standby.name])
    )
      return 'the report names somebody else'
    const flaw = inconsistencyOf(report)
    return flaw === undefined ? undefined : `the report does not follow from its facts: ${flaw}`
  }

  #running(): Open | undefined {
    const open = this.#open
    return open !== undefined && this.#deps.monotonicMs() - open.beganMs < OPEN_MS ? open : undefined
  }

  #say(to: NodeId, drill: string, word: DrillWord): boolean {
    return sayInDrill(this.#deps, to, drill, word)
  }
}

const later = (a: Earlier | null, b: Earlier | null): Earlier | null =>
  a === null || (b !== null && b.number > a.number) ? b : a
