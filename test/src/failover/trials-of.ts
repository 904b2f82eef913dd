import { setTimeout as pause } from 'node:timers/promises'
import type { DoorClient } from '@sealmesh/node/ipc/client'
import { Failure } from '@sealmesh/protocol/errors'
import { until } from '../processes/wait.ts'
import { AGENT, endTrialMesh, type Profile, restart, rowOf, startTrialMesh, untilMay } from './trial-mesh.ts'

/** One trial of each kind; what it measured. Throws where something happened that must not. */

export interface Trial {
  /** From the event to the first act that the other machine is let do. */
  readonly ms: number
  readonly writes: number
  /** Written at the machine that died, and not at the one that goes on. */
  readonly lost: number
  /** How long before the kill the oldest of these was answered. */
  readonly lostMs: number
  /** Of the writes, those that were answered with these levels, and what of them was lost. */
  readonly relayed: number
  readonly replicated: number
  readonly lostRelayed: number
  readonly lostReplicated: number
}

const NOTHING_LOST = { writes: 0, lost: 0, lostMs: 0, relayed: 0, replicated: 0, lostRelayed: 0, lostReplicated: 0 }

/** The holder is killed while it writes. */
export async function killTrial(name: string, profile: Profile, writingMs: number): Promise<Trial> {
  const mesh = await startTrialMesh(name, 'auto', profile)
  try {
    const writer = new Writer(mesh.home)
    await writer.runFor(writingMs)
    const killedAtMs = performance.now()
    await mesh.household.home.kill()
    await writer.ended
    await untilMay(mesh.office, 60_000)
    const granted = await mesh.office.call('must-hold', { agent: AGENT })
    const ms = performance.now() - killedAtMs
    if (granted.term !== 2 || !granted.witnessed) throw new Error(`took over in term ${granted.term}`)
    const lost = await writer.missingAt(mesh.office, killedAtMs)
    await mesh.office.call('set', { umr: `${AGENT}.session.after`, value: JSON.stringify('by office') })
    mesh.household = { ...mesh.household, home: await restart(mesh.household.home) }
    const back = await mesh.household.home.door()
    // What it wrote alone comes late, and is kept; it acts no more.
    await until('home knows', async () => (await rowOf(back)).term === 2 || undefined)
    await until('home has what office wrote', async () => {
      const { item } = await back.call('get', { umr: `${AGENT}.session.after` })
      return item !== null || undefined
    })
    if (await tries(back)) throw new Error('the old holder acted')
    const report = await back.call('reconcile', { agent: AGENT })
    if (!report.layers.every(({ adds }) => adds)) throw new Error(`does not add up: ${JSON.stringify(report.layers)}`)
    const late = report.layers.reduce((sum, layer) => sum + layer.late, 0)
    // Writes that were on their way when the process died may be on its disk, and were answered to nobody.
    if (late > lost.lost + IN_FLIGHT_MAX) throw new Error(`${late} late blocks of ${lost.lost} writes`)
    return { ms, ...lost }
  } finally {
    await endTrialMesh(mesh)
  }
}

/** The holder is killed, and a person takes over at the standby. */
export async function manualTrial(name: string): Promise<Trial> {
  const mesh = await startTrialMesh(name, 'manual')
  try {
    await mesh.household.home.kill()
    const startedMs = performance.now()
    await mesh.office.call('takeover', { agent: AGENT, reason: 'trial' })
    await mesh.office.call('must-hold', { agent: AGENT })
    const ms = performance.now() - startedMs
    mesh.household = { ...mesh.household, home: await restart(mesh.household.home) }
    return { ms, ...NOTHING_LOST }
  } finally {
    await endTrialMesh(mesh)
  }
}

/** There and back, `rounds` times; the trials are the single handovers. */
export async function handoverTrials(name: string, rounds: number, profile: Profile): Promise<Trial[]> {
  const mesh = await startTrialMesh(name, 'auto', profile)
  const trials: Trial[] = []
  try {
    let [from, to] = [mesh.home, mesh.office]
    for (let round = 0; round < rounds; round++) {
      const umr = `${AGENT}.session.round-${round}`
      await from.call('set', { umr, value: String(round) })
      const startedMs = performance.now()
      await from.call('handover', { agent: AGENT })
      await untilMay(to)
      await to.call('must-hold', { agent: AGENT })
      trials.push({ ms: performance.now() - startedMs, ...NOTHING_LOST })
      if (await tries(from)) throw new Error('both act')
      const { item } = await to.call('get', { umr })
      if (item?.type !== 'register' || item.value !== String(round)) throw new Error('a write was lost on the way')
      ;[from, to] = [to, from]
    }
    return trials
  } finally {
    await endTrialMesh(mesh)
  }
}

/** The holder is stopped for longer than its lease, and asked while it sleeps: it answers when it goes on. */
export async function stopTrial(name: string, profile: Profile): Promise<Trial> {
  const mesh = await startTrialMesh(name, 'auto', profile)
  const { home } = mesh.household
  try {
    await mesh.home.call('must-hold', { agent: AGENT })
    const stoppedMs = performance.now()
    home.program.child.kill('SIGSTOP')
    await untilMay(mesh.office, 60_000)
    const ms = performance.now() - stoppedMs
    await mesh.office.call('must-hold', { agent: AGENT })
    const asked = Array.from({ length: 20 }, (_, at) =>
      at % 2 === 0 ? tries(mesh.home) : writes(mesh.home, `${AGENT}.session.asleep-${at}`),
    )
    await pause(100)
    home.program.child.kill('SIGCONT')
    const acted = (await Promise.all(asked)).filter(Boolean).length
    if (acted > 0) throw new Error(`${acted} acts or writes under the old term`)
    await until('home knows', async () => (await rowOf(mesh.home)).term === 2 || undefined)
    if (await tries(mesh.home)) throw new Error('the old holder acted')
    return { ms, ...NOTHING_LOST }
  } finally {
    home.program.child.kill('SIGCONT')
    await endTrialMesh(mesh)
  }
}

const REFUSALS: readonly string[] = ['FENCED', 'NOT_THE_HOLDER']

async function refused(work: Promise<unknown>): Promise<boolean> {
  try {
    await work
    return false
  } catch (error) {
    if (error instanceof Failure && REFUSALS.includes(error.code)) return true
    throw error
  }
}

const tries = async (door: DoorClient): Promise<boolean> => !(await refused(door.call('must-hold', { agent: AGENT })))
const writes = async (door: DoorClient, umr: string): Promise<boolean> =>
  !(await refused(door.call('set', { umr, value: '0' })))

const IN_FLIGHT_MAX = 64
type Level = 'local' | 'relayed' | 'replicated'
/** So many callers at once ask for each level. */
const CALLERS: readonly (readonly [Level, number])[] = [
  ['local', 4],
  ['relayed', 30],
  ['replicated', 30],
]
const DONE_WITHIN_MS = 5_000

/** Callers that write one register after another, each waiting for its level. */
class Writer {
  readonly #door: DoorClient
  readonly #answered: { readonly umr: string; readonly atMs: number; readonly level: Level }[] = []
  #stopped = false
  ended: Promise<unknown> = Promise.resolve()

  constructor(door: DoorClient) {
    this.#door = door
  }

  /** Resolves after that; they go on until their door closes. */
  async runFor(ms: number): Promise<void> {
    const callers = CALLERS.flatMap(([level, count]) =>
      Array.from({ length: count }, (_, at) => this.#write(level, at)),
    )
    this.ended = Promise.allSettled(callers)
    await pause(ms)
  }

  async missingAt(door: DoorClient, killedAtMs: number): Promise<Omit<Trial, 'ms'>> {
    this.#stopped = true
    const { items } = await door.call('ls', { prefix: `${AGENT}.session.w`, limit: 100_000 })
    const there = new Set(items.map(({ umr }) => umr))
    const missing = this.#answered.filter(({ umr }) => !there.has(umr))
    const count = (all: readonly { readonly level: Level }[], level: Level): number =>
      all.filter((each) => each.level === level).length
    return {
      writes: this.#answered.length,
      relayed: count(this.#answered, 'relayed'),
      replicated: count(this.#answered, 'replicated'),
      lost: count(missing, 'local'),
      lostMs: killedAtMs - Math.min(killedAtMs, ...missing.map(({ atMs }) => atMs)),
      lostRelayed: count(missing, 'relayed'),
      lostReplicated: count(missing, 'replicated'),
    }
  }

  async #write(wait: Level, caller: number): Promise<void> {
    for (let at = 0; !this.#stopped; at++) {
      const umr = `${AGENT}.session.w-${wait}-${caller}-${at}`
      const asked = wait === 'local' ? {} : { wait, timeoutMs: DONE_WITHIN_MS }
      const { acknowledged } = await this.#door.call('set', { umr, value: String(at), ...asked })
      // One that was not reached promised no more than this disk; more than was asked for counts as what was asked.
      const reached = acknowledged?.done === true && acknowledged.level !== 'local' ? wait : 'local'
      this.#answered.push({ umr, atMs: performance.now(), level: reached })
    }
  }
}
