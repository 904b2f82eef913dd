import { setTimeout as pause } from 'node:timers/promises'
import type { Agent } from '@sealmesh/agent/client/agent'
import { connectAgents } from '@sealmesh/agent/client/connect-agents'
import { traceLines } from '@sealmesh/agent/patterns/trace'
import { endHousehold, type Household, startHousehold } from '../../processes/household.ts'
import { NodeProcess } from '../../processes/node.ts'
import { until } from '../../processes/wait.ts'
import { type Errands, noErrands, runErrands } from './errands.ts'
import { Ledger } from './ledger.ts'
import { Member } from './member.ts'
import { type Flatness, flatness, ownBytes, type Sample } from './own-memory.ts'

export interface RunOptions {
  /** Half of them on each machine. */
  readonly agents: number
  readonly runMs: number
  /** How often each agent writes. */
  readonly everyMs: number
  readonly progress: (line: string) => void
}

export interface RunFigures {
  readonly agents: number
  readonly seconds: number
  readonly sent: Readonly<Record<string, number>>
  readonly failed: Readonly<Record<string, number>>
  readonly received: number
  readonly perSecond: number
  readonly durable: {
    readonly accepted: number
    readonly lost: readonly string[]
    readonly duplicates: number
    readonly slowestMs: number
  }
  readonly tasks: {
    readonly opened: number
    readonly done: number
    readonly wrong: readonly string[]
    readonly redone: number
  }
  readonly questions: Errands['questions']
  readonly votes: Errands['votes']
  /** How long it took from the kill until every agent of that machine was attached again. */
  readonly kill: { readonly machine: string; readonly atSeconds: number; readonly backSeconds: number }
  readonly memory: { readonly home: Flatness; readonly office: Flatness }
  /** Of the last task and the last vote, which goes across machines, one line for each thing that happened. */
  readonly traces: { readonly task: readonly string[]; readonly vote: readonly string[] }
}

const ASKERS_PER_MACHINE = 2
const ERRAND_EVERY_MS = 1_000
const ROOMS = 5
const SAMPLE_MS = 500
const DRAIN_MS = 120_000

/** A relay and two nodes, processes; agents of both in this one, who talk; the office is killed with -9 in the middle. */
export async function runAgents({ agents, runMs, everyMs, progress }: RunOptions): Promise<RunFigures> {
  const house: { -readonly [K in keyof Household]: Household[K] } = await startHousehold('agents-run')
  const stop = new AbortController()
  const connections: { close(): Promise<void> }[] = []
  const startedMs = performance.now()
  const now = (): number => performance.now() - startedMs
  try {
    const half = Math.max(2, Math.floor(agents / 2))
    progress(`adds ${2 * half} agents`)
    const names = { home: namesOf('h', half), office: namesOf('o', half) }
    const tokens = await settle(house, names)
    const ledger = new Ledger()
    const members: Member[] = []
    for (const machine of ['home', 'office'] as const) {
      const connection = await connectAgents({ home: house[machine].home })
      connections.push(connection)
      const own = names[machine]
      const others = names[machine === 'home' ? 'office' : 'home']
      for (const [at, name] of own.entries()) {
        const agent: Agent = await connection.attach({ token: tokens.get(name) ?? '' })
        const [neighbour, partner] = [own[(at + 1) % half] ?? '', others[at] ?? '']
        members.push(await Member.start({ agent, neighbour, partner, topic: `room-${at % ROOMS}`, ledger, now }))
      }
    }
    await until('grants are known on both sides', () => allMayWrite(members, names), 60_000)

    progress('they talk')
    const beganMs = now()
    const samples = { home: [] as Sample[], office: [] as Sample[] }
    const sampling = sample(house, samples, now, stop.signal)
    const errands = noErrands()
    const askers = members.filter((_, at) => at % half < ASKERS_PER_MACHINE)
    const work = [
      ...members.map((member) => member.write(everyMs, stop.signal)),
      ...askers.map((member) => {
        const electorate = [partnerOf(member.name), namesakeOf(member.name, half)]
        return runErrands(member, electorate, errands, ERRAND_EVERY_MS, stop.signal)
      }),
    ]
    const working = Promise.all(work)
    working.catch(() => stop.abort())
    await pause(runMs / 2, undefined, { signal: stop.signal }).catch(() => undefined)

    const killedMs = now()
    progress('the office is killed')
    await house.office.kill()
    samples.office.length = 0
    house.office = await NodeProcess.start({ home: house.office.home, name: 'office' })
    await until('all agents are back', () => allAttached(house.office, names.office), 60_000)
    const backMs = now() - killedMs
    progress(`it is back with its agents after ${(backMs / 1_000).toFixed(1)} s`)
    await pause(Math.max(0, beganMs + runMs - now()), undefined, { signal: stop.signal }).catch(() => undefined)

    stop.abort()
    const ranMs = now() - beganMs
    await sampling
    progress('what is under way ends')
    await until('tasks and votes have ended', settledWithin(working), DRAIN_MS).catch(() => undefined)
    await until('durable ones are handled', () => ledger.lost().length === 0, DRAIN_MS).catch(() => undefined)
    for (const id of errands.tasks.open) errands.tasks.wrong.push(`${id} is open`)
    const redone = members.flatMap(({ done }) => [...done.values()]).reduce((sum, times) => sum + times, 0)
    const entries = members.flatMap(({ patterns }) => patterns.deps.trace.entries)
    const traceOf = (pattern: 'task' | 'vote'): string[] => {
      const last = errands.ended.findLast((each) => each.pattern === pattern)
      return last === undefined ? [] : traceLines(entries, last.id)
    }
    const { opened, done, wrong } = errands.tasks
    const sent = Object.values(ledger.sent).reduce((sum, count) => sum + count, 0)
    return {
      agents: members.length,
      seconds: Math.round(ranMs / 1_000),
      sent: ledger.sent,
      failed: ledger.failed,
      received: ledger.received,
      perSecond: Math.round((1_000 * sent) / ranMs),
      durable: {
        accepted: ledger.accepted,
        lost: ledger.lost(),
        duplicates: ledger.duplicates,
        slowestMs: Math.round(ledger.slowestMs),
      },
      tasks: { opened, done, wrong, redone: redone - opened },
      questions: errands.questions,
      votes: errands.votes,
      kill: { machine: 'office', atSeconds: Math.round((killedMs - beganMs) / 1_000), backSeconds: backMs / 1_000 },
      memory: { home: flatness(samples.home), office: flatness(samples.office) },
      traces: { task: traceOf('task'), vote: traceOf('vote') },
    }
  } finally {
    stop.abort()
    for (const connection of connections) await connection.close()
    await endHousehold(house)
  }
}

const namesOf = (letter: string, count: number): string[] => Array.from({ length: count }, (_, at) => `${letter}${at}`)
const partnerOf = (name: string): string => `${name.startsWith('h') ? 'o' : 'h'}${name.slice(1)}`
const namesakeOf = (name: string, half: number): string => `${name[0]}${(Number(name.slice(1)) + 1) % half}`

/** Agents of both machines with tokens, each of which lets its partner on the other one write to it. */
async function settle(
  house: Household,
  names: Readonly<Record<'home' | 'office', readonly string[]>>,
): Promise<ReadonlyMap<string, string>> {
  const tokens = new Map<string, string>()
  await Promise.all(
    (['home', 'office'] as const).map(async (machine) => {
      const door = await house[machine].door()
      for (const name of names[machine]) {
        await door.call('agents.add', { name, standby: [] })
        tokens.set(name, (await door.call('agents.token', { name })).token ?? '')
      }
      for (const name of names[machine])
        await until(
          `${machine} knows the partner of ${name}`,
          async () => {
            const changes = [{ layer: 'inbox', to: `${partnerOf(name)}:write` }]
            await door.call('share.set', { agent: name, changes, newLayer: true })
            return true
          },
          60_000,
        )
      await door.close()
    }),
  )
  return tokens
}

async function allMayWrite(
  members: readonly Member[],
  names: Readonly<Record<'home' | 'office', readonly string[]>>,
): Promise<boolean> {
  const [home, office] = [names.home.at(-1), names.office.at(-1)]
  for (const { name, patterns } of members)
    if (name === home || name === office)
      await patterns.deps.port.send({ to: partnerOf(name), type: 'status', payload: null })
  return true
}

async function allAttached(node: NodeProcess, names: readonly string[]): Promise<boolean> {
  const door = await node.door()
  try {
    const { agents } = await door.call('agents.here', {})
    const attached = new Set(agents.filter(({ state }) => state === 'attached').map(({ name }) => name))
    return names.every((name) => attached.has(name))
  } finally {
    await door.close()
  }
}

async function sample(
  house: Household,
  samples: Record<'home' | 'office', Sample[]>,
  now: () => number,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    for (const machine of ['home', 'office'] as const) {
      const { program } = house[machine]
      const pid = program.child.pid
      if (pid === undefined || !program.running) continue
      const bytes = await ownBytes(pid).catch(() => Number.NaN)
      if (!Number.isNaN(bytes)) samples[machine].push({ atMs: now(), bytes })
    }
    await pause(SAMPLE_MS)
  }
}

/** For `until`: whether it has ended. Throws what it ended with. */
function settledWithin(work: Promise<unknown>): () => Promise<boolean> {
  let over = false
  work.then(
    () => (over = true),
    () => (over = true),
  )
  return async () => over && work.then(() => true)
}
