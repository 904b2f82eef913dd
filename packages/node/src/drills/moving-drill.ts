import { setTimeout as pause } from 'node:timers/promises'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { countMissing } from '@sealmesh/protocol/crdt/vector'
import { parseVectorText } from '@sealmesh/protocol/drills/exchange'
import type { DrillKind, HolderAfter, Moved, Phases, RecoveryPoint } from '@sealmesh/protocol/drills/facts'
import { Failure } from '@sealmesh/protocol/errors'
import type { Heard } from './drill-dialogue.ts'
import { type DrillRun, PATIENCE } from './drills-deps.ts'
import { type Gain, gainedOf, GainWatch, type Given, giveAway } from './gain-watch.ts'
import { layersNow } from './recovery-point.ts'

/** A lease of the calm profile, several standbys' turns, and a slow relay. */
const TAKEN_WITHIN_MS = 120_000
/** A handover tries for ten seconds. */
const MOVED_WITHIN_MS = 45_000
const TRY_AGAIN_MS = 2_000
const STOPPED_MAX = 200

export const NO_PHASES: Phases = {
  freezeMs: null,
  drainMs: null,
  detectMs: null,
  decideMs: null,
  acquireMs: null,
  catchUpMs: null,
  activateMs: null,
  firstActMs: null,
}

/** The standby's words about moving the agent. */
export interface MoveTalk {
  move(): Promise<Heard<'moved'>>
  kill(): Promise<Heard<'dying'>>
  /** The holder is there, and may be given the agent. Throws DRILL_FAILED when it does not say so in time. */
  back(): Promise<unknown>
  /** What the holder said against it after it had agreed. */
  readonly refusal: Failure | null
}

export interface MovedFacts {
  readonly moved: Moved
  readonly rto: Phases
}

type There = NonNullable<Moved['there']>

/**
 * Moves an agent here and back (docs/spec/14-drills.md §6): whatever goes wrong on the way, what came here is handed
 * back, and where it is in the end is said. Throws only DRILL_REFUSED, and then nothing was moved.
 */
export async function moveAgent(
  deps: DrillRun,
  kind: Exclude<DrillKind, 'shadow'>,
  point: RecoveryPoint,
  talk: MoveTalk,
): Promise<MovedFacts> {
  const { node, mesh } = deps
  let there: There | null = null
  let back: Moved['back'] = null
  let rto = NO_PHASES
  let stopped: string | null = null
  const stop = (error: unknown): void => {
    stopped ??= (error instanceof Error ? error.message : String(error)).slice(0, STOPPED_MAX)
  }
  try {
    ;({ there, rto } = await (kind === 'kill' ? comeAfterKill(deps, point, talk) : comeByHandover(deps, point, talk)))
  } catch (error) {
    if (error instanceof Failure && error.code === 'DRILL_REFUSED' && kind === 'kill') throw error
    stop(error)
  }
  const isHere = (): boolean => {
    const term = mesh().agents.get(point.agent)?.term
    return term?.holder === node && term.number > point.term.number
  }
  try {
    // After a kill it is waited for in any case: it has to sign.
    if (kind === 'kill' || isHere()) await talk.back()
    if (isHere()) back = await handBack(deps, point)
  } catch (error) {
    stop(error)
  }
  const heldBy = mesh().agents.get(point.agent)?.term?.holder ?? point.holder
  return { moved: { there, back, heldBy, stopped }, rto }
}

/** With what the holder saw of itself when it got the agent back. */
export function withGained(moved: Moved, after: HolderAfter | null): Moved {
  const { back } = moved
  return back === null || after === null
    ? moved
    : { ...moved, back: { ...back, phases: { ...back.phases, ...after.gained } } }
}

async function comeByHandover(deps: DrillRun, point: RecoveryPoint, talk: MoveTalk) {
  const watch = watchOf(deps, point, MOVED_WITHIN_MS)
  try {
    const { freezeMs, drainMs, acquireMs, vectors } = await talk.move()
    const gain = await gained(watch)
    const rto: Phases = { ...NO_PHASES, freezeMs, drainMs, acquireMs, ...gainedOf(gain) }
    return { there: await standingOf(deps, point, gain, vectors), rto }
  } finally {
    watch.stop()
  }
}

async function comeAfterKill(deps: DrillRun, point: RecoveryPoint, talk: MoveTalk) {
  const watch = watchOf(deps, point, TAKEN_WITHIN_MS)
  try {
    const { vectors } = await talk.kill()
    const diedMs = deps.monotonicMs()
    const refused = refusalOf(talk, watch)
    const gain = await Promise.race([gained(watch), refused])
    const { ripeAtMs, inLogAtMs, listedAtMs, caughtUpAtMs } = gain
    const foundMs = Math.min(Math.max(ripeAtMs ?? inLogAtMs, diedMs), inLogAtMs)
    const rto: Phases = {
      ...NO_PHASES,
      detectMs: Math.round(foundMs - diedMs),
      decideMs: Math.round(inLogAtMs - foundMs),
      acquireMs: Math.round(listedAtMs - inLogAtMs),
      ...gainedOf(gain),
      catchUpMs: Math.round(caughtUpAtMs - listedAtMs),
    }
    return { there: await standingOf(deps, point, gain, vectors), rto }
  } finally {
    watch.stop()
  }
}

/** Rejects once the holder says that it will live on; never otherwise. */
async function refusalOf(talk: MoveTalk, watch: GainWatch): Promise<never> {
  let isOver = false
  watch.done.finally(() => (isOver = true)).catch(() => undefined)
  while (!isOver) {
    if (talk.refusal !== null) throw talk.refusal
    await pause(TRY_AGAIN_MS / 10)
  }
  return new Promise<never>(() => undefined)
}

const watchOf = (deps: DrillRun, { agent, term, holder }: RecoveryPoint, withinMs: number): GainWatch =>
  new GainWatch(deps, agent, { ...term, holder }, withinMs)

async function gained(watch: GainWatch): Promise<Gain> {
  const gain = await watch.done
  if (gain === undefined) throw new Failure('DRILL_FAILED', 'This standby did not come to act for the agent in time.')
  return gain
}

async function standingOf(
  deps: DrillRun,
  point: RecoveryPoint,
  { term }: Gain,
  vectors: readonly string[],
): Promise<There> {
  let missing = 0
  for (const [at, { layer }] of point.layers.entries()) {
    const name: DocumentName = { agent: point.agent, layer }
    const vector = parseVectorText(vectors[at] ?? '')
    if (vector === undefined) throw new Failure('DRILL_FAILED', 'What the holder said that it had cannot be read.')
    missing += countMissing(await deps.documents.vectorOf(name), vector)
  }
  return { term, missing, layers: await layersNow(deps, point) }
}

async function handBack(deps: DrillRun, { agent, holder }: RecoveryPoint): Promise<NonNullable<Moved['back']>> {
  const untilMs = deps.monotonicMs() + { ...PATIENCE, ...deps.patience }.backMs
  for (;;)
    try {
      const { term, ...phases }: Given = await giveAway(deps, agent, holder)
      return { term, phases: { ...NO_PHASES, ...phases } }
    } catch (error) {
      if (deps.monotonicMs() >= untilMs || deps.ending.aborted) throw error
      await pause(TRY_AGAIN_MS)
    }
}
