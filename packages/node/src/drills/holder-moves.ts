import { setTimeout as pause } from 'node:timers/promises'
import { type DrillWord, vectorText } from '@sealmesh/protocol/drills/exchange'
import type { Gained, RecoveryPoint } from '@sealmesh/protocol/drills/facts'
import { LEASE_TIMINGS, quietMs } from '@sealmesh/protocol/failover/timing'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { DrillRun } from './drills-deps.ts'
import { gainedOf, GainWatch, giveAway } from './gain-watch.ts'
import { type KilledNote, removeKilledNote, writeKilledNote } from './killed-note.ts'
import { isReplicated } from './movers.ts'

/** How long a moment is waited for in which everything is replicated. */
const REPLICATED_WITHIN_MS = 5_000
const LOOK_MS = 2
/** The last word has to leave the process. */
const LAST_WORD_MS = 250
/** A standby reads the register now and then, and needs a moment once it may. */
const AWAY_MORE_MS = 2_000
const GAINED_WITHIN_MS = 90_000
/** Until the standby is told how it went. */
const GAIN_SHOWN_WITHIN_MS = 20_000

/** What a holder does in one drill that moves its agent. */
export class HolderMoves {
  readonly #deps: DrillRun
  readonly #point: RecoveryPoint
  readonly #lateBefore: number
  readonly #hasDied: boolean
  #moving: Promise<DrillWord> | undefined
  #dying = false
  #watch: GainWatch | undefined

  constructor(deps: DrillRun, point: RecoveryPoint, lateBefore: number, hasDied: boolean) {
    this.#deps = deps
    this.#point = point
    this.#lateBefore = lateBefore
    this.#hasDied = hasDied
  }

  /** Once, however often it is asked. */
  move(to: NodeId): Promise<DrillWord> {
    this.#moving ??= this.#move(to)
    return this.#moving
  }

  /**
   * Ends this process in a tick in which nothing is acknowledged that the standby does not have. Resolves to reasons
   * where there is no such tick, or this was asked before.
   */
  async kill(
    note: Omit<KilledNote, 'lateBefore' | 'atMs' | 'awayMs'>,
    say: (word: DrillWord) => void,
  ): Promise<DrillWord | undefined> {
    if (this.#dying || this.#hasDied) return undefined
    this.#dying = true
    const { directory, mesh, now, movers } = this.#deps
    const { leaseMs, retryMs } = LEASE_TIMINGS[mesh().witness?.profile ?? 'default']
    const awayMs = quietMs(leaseMs) + 2 * retryMs + AWAY_MORE_MS
    if (await this.#untilReplicated(note.standby)) {
      await writeKilledNote(directory, { ...note, lateBefore: this.#lateBefore, atMs: now(), awayMs })
      say({ word: 'dying', vectors: await this.#vectors() })
      await pause(LAST_WORD_MS)
      if (await this.#untilReplicated(note.standby)) movers.endProcess()
      await removeKilledNote(directory)
    }
    this.#dying = false
    return { word: 'refused', reasons: ['not everything that was acknowledged is replicated'] }
  }

  /** Whether it may be given the agent again; from then on it watches itself gain it. */
  isReady(): boolean {
    const { node, mesh, movers, incidents } = this.#deps
    const { agent, term } = this.#point
    const held = mesh().agents.get(agent)?.term ?? null
    if (held === null || incidents.health.facts.rolledBack !== null) return false
    if (held.holder === node) return movers.fence(agent) === null
    this.#watch ??= new GainWatch(
      this.#deps,
      agent,
      { number: Math.max(held.number, term.number), record: held.record, holder: held.holder },
      GAINED_WITHIN_MS,
    )
    return true
  }

  /** How it got the agent back; null where it was not given away, or has not come. */
  async gained(): Promise<Gained | null> {
    const gain = await Promise.race([this.#watch?.done, pause(GAIN_SHOWN_WITHIN_MS, undefined, { ref: false })])
    this.#watch?.stop()
    return gain === undefined ? null : gainedOf(gain)
  }

  async late(): Promise<number> {
    return Math.max(0, (await lateOf(this.#deps, this.#point)) - this.#lateBefore)
  }

  async #move(to: NodeId): Promise<DrillWord> {
    try {
      const given = await giveAway(this.#deps, this.#point.agent, to)
      return { word: 'moved', ...given, vectors: await this.#vectors() }
    } catch (error) {
      return { word: 'refused', reasons: [(error instanceof Error ? error.message : String(error)).slice(0, 200)] }
    }
  }

  /** True in the turn in which it is so. */
  async #untilReplicated(standby: NodeId): Promise<boolean> {
    const untilMs = this.#deps.monotonicMs() + REPLICATED_WITHIN_MS
    while (!isReplicated(this.#deps, this.#point.agent, standby)) {
      if (this.#deps.monotonicMs() >= untilMs) return false
      await pause(LOOK_MS)
    }
    return true
  }

  async #vectors(): Promise<string[]> {
    const { agent, layers } = this.#point
    const vectors: string[] = []
    for (const { layer } of layers) vectors.push(vectorText(await this.#deps.documents.vectorOf({ agent, layer })))
    return vectors
  }
}

/** Blocks of the point's documents that came after their term was over. */
export async function lateOf(
  { documents }: Pick<DrillRun, 'documents'>,
  { agent, layers }: RecoveryPoint,
): Promise<number> {
  let late = 0
  for (const { layer } of layers) late += (await documents.open({ agent, layer })).counts().late
  return late
}
