import { canonicalText } from '@sealmesh/protocol/drills/canonical'
import type { DrillWord } from '@sealmesh/protocol/drills/exchange'
import type { Earlier, HolderAfter } from '@sealmesh/protocol/drills/facts'
import { inconsistencyOf, isSignedBy, type Report, signPoint, signReport } from '@sealmesh/protocol/drills/report'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import { readersOf } from '@sealmesh/protocol/membership/access'
import type { DrillBook } from './drill-book.ts'
import { sayInDrill } from './drill-talk.ts'
import type { DrillRun } from './drills-deps.ts'
import { HolderMoves, lateOf } from './holder-moves.ts'
import { incidentsOf } from './incidents.ts'
import { readKilledNote, removeKilledNote } from './killed-note.ts'
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
  /** Of a drill that may move the agent; only once the point is named. */
  moves: Promise<HolderMoves | null>
  after: Promise<HolderAfter> | undefined
  isOver: boolean
  /** It was killed in this drill: what it named was said by an earlier run. */
  readonly hasDied: boolean
}

/** The holder's side of drills: names a recovery point, looks again afterwards, signs what is so. */
export class DrillHolder {
  readonly #deps: DrillRun
  readonly #book: DrillBook
  #open: Open | undefined

  constructor(deps: DrillRun, book: DrillBook) {
    this.#deps = deps
    this.#book = book
  }

  /** After it was killed in a drill, the holder goes on with it. */
  async resume(): Promise<void> {
    const note = await readKilledNote(this.#deps.directory, this.#deps.now())
    if (note === undefined) return
    const { drill, standby, agent, point, signature, lateBefore } = note
    this.#open = {
      drill,
      standby,
      agent,
      beganMs: this.#deps.monotonicMs(),
      named: Promise.resolve({ point, signature, vectors: [] }),
      moves: Promise.resolve(new HolderMoves(this.#deps, point, lateBefore, true)),
      after: undefined,
      isOver: false,
      hasDied: true,
    }
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
    const moves = await open.moves
    if (word.word === 'move' && moves !== null) this.#say(from, drill, await moves.move(from))
    if (word.word === 'kill' && moves !== null && this.#agreesToBeKilled(open.agent)) {
      const { point, signature } = named
      const say = (last: DrillWord): void => void this.#say(from, drill, last)
      const refused = await moves.kill({ drill, standby: from, agent: open.agent, point, signature }, say)
      if (refused !== undefined) this.#say(from, drill, refused)
    }
    if (word.word === 'back' && moves?.isReady() === true) this.#say(from, drill, { word: 'ready' })
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
    if (open.hasDied) await removeKilledNote(this.#deps.directory)
    this.#say(from, drill, { word: 'signed', signature: own })
  }

  async #asked(from: NodeId, drill: string, ask: Extract<DrillWord, { word: 'ask' }>): Promise<void> {
    const running = this.#running()
    const isSame = running?.drill === drill && running.standby === from
    if (isSame && running.hasDied) return // From before: it was answered then.
    // One that asks anew has given up its last one.
    if (running !== undefined && running.standby !== from && !running.isOver)
      return void this.#say(from, drill, { word: 'refused', reasons: ['another drill is running on the holder'] })
    const open = running !== undefined && isSame ? running : this.#begin(from, drill, ask)
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

  #begin(from: NodeId, drill: string, ask: Extract<DrillWord, { word: 'ask' }>): Open {
    const named = this.#name(from, drill, ask)
    const moves = named.then(async (point) =>
      'reasons' in point || ask.kind === 'shadow'
        ? null
        : new HolderMoves(this.#deps, point.point, await lateOf(this.#deps, point.point), false),
    )
    moves.catch(() => undefined)
    return {
      drill,
      standby: from,
      agent: ask.agent,
      beganMs: this.#deps.monotonicMs(),
      named,
      moves,
      after: undefined,
      isOver: false,
      hasDied: false,
    }
  }

  #agreesToBeKilled(agent: AgentId): boolean {
    const name = this.#deps.mesh().agents.get(agent)?.name ?? ''
    const { agents } = this.#deps.config()
    return Object.hasOwn(agents, name) && agents[name]?.drill.kill === true
  }

  async #name(
    from: NodeId,
    drill: string,
    { agent, kind, last }: Extract<DrillWord, { word: 'ask' }>,
  ): Promise<Awaited<Open['named']>> {
    const { node, documents, incidents, signKey, sodium } = this.#deps
    const mesh = this.#deps.mesh()
    const known = mesh.agents.get(agent)
    const term = termOf(mesh, agent)
    const reasons = incidentsOf({ ...incidents, node, documents }, mesh, agent)
    if (known?.term?.holder !== node) reasons.push('the node that was asked does not hold the agent')
    if (known?.hosts.includes(from) !== true) reasons.push('the node that asks is no host of the agent')
    if (kind !== 'shadow' && !readersOf(mesh, agent, 'session').includes(from))
      reasons.push('the node that asks does not read what the holder alone writes')
    if (kind === 'kill' && known?.failover.mode !== 'auto') reasons.push('the agent does not fail over by itself')
    if (kind === 'kill' && !this.#agreesToBeKilled(agent))
      reasons.push('the config of the holder does not agree: kill = true in [agents.NAME.drill]')
    if (reasons.length > 0 || term === null) return { reasons }
    const named = await recoveryPoint(
      this.#deps,
      { drill, agent, standby: from, previous: later(this.#book.end(agent), last) },
      term,
    )
    return { ...named, signature: signPoint(named.point, signKey, sodium) }
  }

  async #after({ agent, beganMs, moves, hasDied }: Open, { point }: NamedPoint): Promise<HolderAfter> {
    // Before documents are looked at again: that would count as load of the drill. Another run's writes are forgotten.
    const latency = this.#deps.times.around(hasDied ? this.#deps.monotonicMs() : beganMs)
    const moved = await moves
    const gained = (await moved?.gained()) ?? null
    const layers = await layersNow(this.#deps, point)
    const late = (await moved?.late()) ?? 0
    const may = this.#deps.movers.fence(agent) === null
    return { term: termOf(this.#deps.mesh(), agent), may, gained, late, layers, latency }
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
