import { toHex } from '@sealmesh/protocol/bytes'
import { decodeWord } from '@sealmesh/protocol/drills/exchange'
import type { DrillFacts, DrillKind, DrillTargets } from '@sealmesh/protocol/drills/facts'
import { draftReport, type FiledReport, isSignedBy, type Report, signReport } from '@sealmesh/protocol/drills/report'
import { Failure } from '@sealmesh/protocol/errors'
import { placeOf } from '@sealmesh/protocol/failover/challenger'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { DrillItem } from '@sealmesh/protocol/sync/payload'
import { z } from 'zod'
import { DrillBook, type FiledEntry } from './drill-book.ts'
import { DrillDialogue } from './drill-dialogue.ts'
import { DrillHolder } from './drill-holder.ts'
import { type DrillRun, type DrillsDeps, PATIENCE } from './drills-deps.ts'
import { incidentsOf } from './incidents.ts'
import { moveAgent } from './moving-drill.ts'
import { Sandbox } from './sandbox.ts'
import { dueAt, durationMs, minutesOf, overdueFrom, type Plan } from './schedule.ts'
import { shadowDrill } from './shadow-drill.ts'

const TICK_MS = 5_000
/** How long a holder that was killed may take to come back. */
const RETURN_MS = 10 * 60_000
const LAST_CALL_MS = 5_000
const MOVING = 'drill-moving'
const Moving = z.strictObject({ agent: z.string() })
const DONE = { word: 'done' } as const

export interface RunOptions {
  readonly kind: DrillKind
  readonly returnMs?: number | undefined
}

const orNull = <T>(work: Promise<T>): Promise<T | null> => work.catch(() => null)

const DRILL_ID_BYTES = 16

/** Where the drills of one agent stand on this node. */
export interface DrillStanding {
  readonly agent: MeshAgent
  readonly last: FiledEntry | null
  /** The last try that came to no report, if it is later than `last`. */
  readonly failure: { readonly atMs: number; readonly code: string; readonly message: string } | null
  /** Null: none is planned here, or it is for the holder's standbys to drill. */
  readonly dueMs: number | null
  readonly isOverdue: boolean
}

/** Drills on this node: those that it runs as a standby, those that it answers as a holder, and when they are due. */
export class Drills {
  readonly book: DrillBook
  readonly #deps: DrillRun
  readonly #ending = new AbortController()
  readonly #holder: DrillHolder
  readonly #timer: NodeJS.Timeout
  #running: { readonly agent: AgentId; readonly dialogue: DrillDialogue; readonly over: Promise<unknown> } | undefined
  #standings: readonly DrillStanding[] = []
  #closed = false

  protected constructor(deps: DrillsDeps, book: DrillBook) {
    this.#deps = { ...deps, ending: this.#ending.signal }
    this.book = book
    this.#holder = new DrillHolder(this.#deps, book)
    this.#timer = setInterval(() => void this.#tick(), TICK_MS)
    this.#timer.unref()
  }

  static async open(deps: DrillsDeps): Promise<Drills> {
    const book = await DrillBook.load(deps.directory, deps.meta, deps.sodium)
    await Sandbox.removeLeft(deps.directory)
    const drills = new Drills(deps, book)
    await drills.#holder.resume()
    await drills.#noteBrokenOff()
    await drills.look()
    return drills
  }

  /** Never throws: it runs in the socket's turn. */
  onItem(from: NodeId, { drill, body }: DrillItem): void {
    const word = decodeWord(body)
    if (word === undefined || this.#closed) return
    this.#running?.dialogue.onWord(from, drill, word)
    this.#holder
      .onWord(from, drill, word)
      .catch((error: unknown) => this.#deps.logger.warn({ err: error }, 'a word of a drill was not answered'))
  }

  /** Resolves with what was filed, be it red. Throws DRILL_REFUSED, and DRILL_FAILED when there is no report. */
  async run(agent: MeshAgent, { kind, returnMs = RETURN_MS }: RunOptions): Promise<FiledReport> {
    const holder = this.#refuse(agent, kind)
    const drill = toHex(this.#deps.random(DRILL_ID_BYTES))
    const dialogue = new DrillDialogue(this.#deps, holder, drill, { ...PATIENCE, ...this.#deps.patience }.answerMs)
    const over = this.#drill(agent, dialogue, kind, returnMs)
    this.#running = { agent: agent.id, dialogue, over }
    try {
      return await over
    } catch (error) {
      const failure =
        error instanceof Failure ? error : new Failure('DRILL_FAILED', 'The drill broke off.', { cause: error })
      // A refusal says that it was not the time for one, not that one went wrong.
      if (failure.code !== 'DRILL_REFUSED')
        await this.book.failed(agent.id, this.#deps.now(), failure.code, failure.message)
      throw failure
    } finally {
      this.#running = undefined
      await this.look()
    }
  }

  standings(): readonly DrillStanding[] {
    return this.#standings
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    this.#ending.abort()
    this.#running?.dialogue.close()
    await this.#running?.over.catch(() => undefined)
  }

  #refuse(agent: MeshAgent, kind: DrillKind): NodeId {
    const { node, mesh, documents, incidents } = this.#deps
    const holder = agent.term?.holder
    const reasons = incidentsOf({ ...incidents, node, documents }, mesh(), agent.id)
    if (holder === undefined) reasons.push('nobody holds the agent')
    if (holder === node) reasons.push('this node holds it: run the drill on a standby')
    else if (!agent.hosts.includes(node)) reasons.push('this node is no host of the agent')
    if (kind === 'kill' && agent.failover.mode !== 'auto') reasons.push('the agent does not fail over by itself')
    if (kind === 'kill' && holder !== undefined && placeOf(agent.hosts, holder, node) > 0)
      reasons.push('another standby comes before this one')
    if (this.#running !== undefined || this.#holder.isBusy(agent.id)) reasons.push('another drill is running')
    if (reasons.length > 0 || holder === undefined)
      throw new Failure('DRILL_REFUSED', `There is no drill of ${agent.name} now: ${reasons.join('; ')}.`)
    return holder
  }

  async #drill(agent: MeshAgent, dialogue: DrillDialogue, kind: DrillKind, returnMs: number): Promise<FiledReport> {
    const { mesh, meta } = this.#deps
    const { holder } = dialogue
    const ask = { word: 'ask', agent: agent.id, kind, last: this.book.end(agent.id) } as const
    let isAbsent = false
    const back = async (): Promise<void> => {
      isAbsent = true
      await dialogue.say({ word: 'back' }, 'ready', kind === 'kill' ? returnMs : undefined)
      isAbsent = false
    }
    // One that did not come back in its time has had it.
    const done = () => dialogue.say(DONE, 'after', isAbsent ? LAST_CALL_MS : undefined)
    const facts = await shadowDrill(this.#deps, agent.id, holder, {
      drill: dialogue.drill,
      ask: () => dialogue.say(ask, 'point'),
      done: () => (kind === 'shadow' ? done() : orNull(done())),
      move:
        kind === 'shadow'
          ? null
          : async (point) => {
              await meta.write(MOVING, Moving, { agent: agent.id })
              return moveAgent(this.#deps, kind, point, {
                move: () => dialogue.say({ word: 'move' }, 'moved'),
                kill: () => dialogue.say({ word: 'kill' }, 'dying'),
                back,
                get refusal() {
                  return dialogue.refusal
                },
              })
            },
    })
    const { nodes } = mesh()
    const names = {
      agent: agent.name,
      holder: nodes.get(holder)?.name ?? '',
      standby: nodes.get(this.#deps.node)?.name ?? '',
    }
    const plan = this.#planOf(agent.name)
    const draft = (of: DrillFacts): Report =>
      draftReport({
        kind,
        names,
        targets: this.#targetsOf(agent.name),
        facts: of,
        nextDueMs: plan === undefined ? null : dueAt(plan, facts.clock.endedAtMs, true),
      })
    const filed =
      (facts.holderAfter === null ? null : await this.#signedByBoth(draft(facts), dialogue, kind)) ??
      this.#signedAlone(draft({ ...facts, holderAfter: null }))
    const { number, passed } = await this.book.file(filed)
    if (kind !== 'shadow') await meta.delete(MOVING)
    this.#deps.logger.info({ number, passed }, 'a drill is over')
    return filed
  }

  /** Null where a drill that moved something has to be filed without the holder. */
  async #signedByBoth(report: Report, dialogue: DrillDialogue, kind: DrillKind): Promise<FiledReport | null> {
    const { node, signKey, sodium, mesh, logger } = this.#deps
    const { holder } = dialogue
    const signature = signReport(report, signKey, sodium)
    try {
      const answer = await dialogue.say({ word: 'report', report, signature }, 'signed')
      const holderKey = mesh().nodes.get(holder)?.signKey
      if (holderKey === undefined || !isSignedBy(report, answer.signature, holderKey, sodium))
        throw new Failure('DRILL_FAILED', 'What the holder sent is no signature of the report.')
      const signatures = [
        { node, signature },
        { node: holder, signature: answer.signature },
      ]
      return { report, signatures }
    } catch (error) {
      if (kind === 'shadow') throw error
      logger.warn({ err: error }, 'the holder did not sign the report of a drill')
      return null
    }
  }

  #signedAlone(report: Report): FiledReport {
    const { node, signKey, sodium } = this.#deps
    return { report, signatures: [{ node, signature: signReport(report, signKey, sodium) }] }
  }

  /** This node was ended in the middle of a drill that moves an agent: nobody else tells the person. */
  async #noteBrokenOff(): Promise<void> {
    const { meta, mesh, now } = this.#deps
    const moving = await meta.read(MOVING, Moving)
    if (moving === undefined) return
    const id = moving.agent as AgentId
    const name = mesh().agents.get(id)?.name ?? 'the agent'
    const message = `This node was ended in the middle of it. Who holds ${name} now: sealmesh failover status ${name}`
    await this.book.failed(id, now(), 'DRILL_FAILED', message)
    await meta.delete(MOVING)
  }

  async #tick(): Promise<void> {
    try {
      await this.look()
      if (this.#closed || this.#running !== undefined) return
      const nowMs = this.#deps.now()
      const due = this.#standings.find(
        ({ dueMs, failure }) => dueMs !== null && dueMs <= nowMs && nowMs - (failure?.atMs ?? 0) >= TRY_AGAIN_MS,
      )
      if (due !== undefined) await this.run(due.agent, { kind: this.#configOf(due.agent.name).kind ?? 'shadow' })
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'a scheduled drill came to no report')
    }
  }

  /** Where all agents stand, for whoever asks: also done every few seconds. */
  async look(): Promise<void> {
    const { node, mesh, now } = this.#deps
    const nowMs = now()
    const standings: DrillStanding[] = []
    for (const agent of mesh().agents.values()) {
      const isStandby = agent.hosts.includes(node) && agent.term !== null && agent.term.holder !== node
      const plan = isStandby ? this.#planOf(agent.name) : undefined
      const last = this.book.last(agent.id) ?? null
      const failure = this.book.failure(agent.id)
      if (plan === undefined && last === null && failure === null) continue
      const sinceMs = plan === undefined ? 0 : await this.book.plannedSince(agent.id, nowMs)
      // A report from the future is one of a clock that lied: it puts nothing off.
      const isPast = last !== null && last.atMs <= nowMs + AHEAD_MS
      const dueMs = plan === undefined ? null : isPast ? dueAt(plan, last.atMs, true) : dueAt(plan, sinceMs, false)
      const isOverdue = plan !== undefined && dueMs !== null && nowMs > overdueFrom(plan, dueMs)
      standings.push({ agent, last, failure, dueMs, isOverdue })
    }
    this.#standings = standings
  }

  #planOf(agent: string): Plan | undefined {
    const { every, at } = this.#configOf(agent)
    const everyMs = every === undefined ? undefined : durationMs(every)
    return everyMs === undefined ? undefined : { everyMs, atMinutes: at === undefined ? null : minutesOf(at) }
  }

  #targetsOf(agent: string): DrillTargets {
    const { rto, rpo, every } = this.#configOf(agent)
    const inMs = (text: string | undefined): number | null => (text === undefined ? null : (durationMs(text) ?? null))
    return { rtoMs: inMs(rto), rpoMs: inMs(rpo), everyMs: inMs(every) }
  }

  #configOf(agent: string) {
    const { agents } = this.#deps.config()
    return Object.hasOwn(agents, agent) ? (agents[agent]?.drill ?? {}) : {}
  }
}

/** As clocks that are set do. */
const AHEAD_MS = 60_000
/** After a try that failed: soon enough for the same night, late enough for a machine that is being restarted. */
const TRY_AGAIN_MS = 10 * 60_000
