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
  /** Of those that were waited for, as replicated. */
  readonly lostReplicated: number
}

const NOTHING_LOST = { writes: 0, lost: 0, lostMs: 0, lostReplicated: 0 }

/** The holder is killed while it writes. */
export async function killTrial(name: string, profile: Profile): Promise<Trial> {
  const mesh = await startTrialMesh(name, 'auto', profile)
  try {
    const writer = new Writer(mesh.home)
    await writer.runFor(1_500)
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
    // The write that was on its way when the process died may be on its disk, and was answered to nobody.
    if (late > lost.lost + 1) throw new Error(`${late} late blocks of ${lost.lost} writes`)
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

/** Writes one register after another, and from time to time waits until other machines have them. */
class Writer {
  readonly #door: DoorClient
  readonly #answered: { readonly umr: string; readonly atMs: number }[] = []
  #replicated = 0
  #stopAtMs = Number.POSITIVE_INFINITY
  ended: Promise<void> = Promise.resolve()

  constructor(door: DoorClient) {
    this.#door = door
  }

  /** Resolves after that; it goes on until its door closes. */
  async runFor(ms: number): Promise<void> {
    this.ended = this.#write().catch(() => undefined)
    void this.#confirm().catch(() => undefined)
    await pause(ms)
  }

  async missingAt(door: DoorClient, killedAtMs: number): Promise<Omit<Trial, 'ms'>> {
    this.#stopAtMs = 0
    const { items } = await door.call('ls', { prefix: `${AGENT}.session.w`, limit: 100_000 })
    const there = new Set(items.map(({ umr }) => umr))
    const missing = this.#answered.map((write, at) => ({ ...write, at })).filter(({ umr }) => !there.has(umr))
    const oldest = Math.min(killedAtMs, ...missing.map(({ atMs }) => atMs))
    return {
      writes: this.#answered.length,
      lost: missing.length,
      lostMs: killedAtMs - oldest,
      lostReplicated: missing.filter(({ at }) => at < this.#replicated).length,
    }
  }

  async #write(): Promise<void> {
    for (let at = 0; performance.now() < this.#stopAtMs; at++) {
      const umr = `${AGENT}.session.w${at}`
      await this.#door.call('set', { umr, value: String(at) })
      this.#answered.push({ umr, atMs: performance.now() })
    }
  }

  async #confirm(): Promise<void> {
    while (performance.now() < this.#stopAtMs) {
      const upTo = this.#answered.length
      const { done } = await this.#door.call('wait', { until: 'replicated', target: AGENT, timeoutMs: 5_000 })
      if (done) this.#replicated = upTo
      await pause(20)
    }
  }
}
