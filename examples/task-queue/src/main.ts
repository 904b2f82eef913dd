import { fileURLToPath } from 'node:url'
import { Machine, parseJson } from '@sealmesh/demo/machine'
import { Narrator } from '@sealmesh/demo/narrator'
import { Relay } from '@sealmesh/demo/relay'
import { type Actor, check, DemoFailure, Stage, waitFor } from '@sealmesh/demo/stage'

/**
 * A relay and two nodes in temporary homes; a boss at home, workers on both machines, one of which is killed at work.
 * Stops and removes everything it started.
 */

const SOON_MS = 20_000
const TASKS = 16
/** The killed worker's tasks are done by others after it has been silent for some seconds. */
const DONE_MS = 60_000
const WORKERS = { home: ['ann', 'ben'], office: ['cyd', 'dan'] } as const
const VICTIM = 'cyd'

const narrator = new Narrator(process.stdout)
const stage = new Stage()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

try {
  await perform()
  narrator.say('task-queue: ok')
} catch (error) {
  narrator.say(error instanceof DemoFailure ? error.message : String(error))
  for (const end of stage.fallen()) narrator.say(end)
  narrator.say('task-queue: failed')
  process.exitCode = 1
} finally {
  await stage.clear()
}

async function perform(): Promise<void> {
  const [home, office] = [new Machine(stage, 'home'), new Machine(stage, 'office')]
  await narrator.step('a relay and two nodes of one mesh', async () => {
    const { address, claim } = await Relay.start(stage)
    await home.up(['--name', 'home', '--agent', 'boss', '--relay', address, '--claim', claim])
    await home.live({ withinMs: SOON_MS })
    await join(home, office)
  })
  await narrator.step('agents on both, who let the boss and his workers write to each other', async () => {
    for (const [machine, names] of [
      [home, WORKERS.home],
      [office, WORKERS.office],
    ] as const)
      for (const name of names) await machine.type(['agents', 'add', name])
    for (const name of WORKERS.office) {
      await office.type(['share', 'set', name, 'inbox=boss:write', '--new-layer', '--yes'])
      await granted(home, name)
    }
  })
  const workers = new Map<string, Actor>()
  await narrator.step('four workers attach', async () => {
    for (const [machine, names] of [
      [home, WORKERS.home],
      [office, WORKERS.office],
    ] as const)
      for (const name of names) workers.set(name, await program(machine, 'worker', name))
    for (const [name, actor] of workers) await said(actor, `${name} is there`)
  })
  const numbers = Array.from({ length: TASKS }, (_, at) => String(at + 1))
  const boss = await program(home, 'boss', 'boss', numbers)
  await narrator.step(`${TASKS} tasks, and ${VICTIM} is killed with -9 at work`, async (progress) => {
    const victim = workers.get(VICTIM)
    if (victim === undefined) throw new DemoFailure(`There is no ${VICTIM}.`)
    await said(victim, `${VICTIM} works on`)
    victim.kill('SIGKILL')
    const look = async () => (boss.isOver ? { done: true } : { waiting: `${results(boss).length} done` })
    await waitFor('all to be done', look, { withinMs: DONE_MS, progress })
  })
  narrator.quote(boss.stdout)
  check(boss.outcome().code === 0, 'the boss ends well', boss.describe())
  check(results(boss).length === TASKS, 'every task has one result', boss.stdout)
  for (const line of results(boss)) {
    const [, number, square] = /^(\d+) -> (\d+) by \w+, attempt \d+$/.exec(line) ?? []
    check(Number(square) === Number(number) ** 2, 'the result is right', line)
  }
  check(/ by dan,/.test(boss.stdout), 'the other machine has worked too', boss.stdout)
}

function results(boss: Actor): string[] {
  return boss.stdout.split('\n').filter((line) => line.includes(' -> '))
}

async function join(home: Machine, office: Machine): Promise<void> {
  const pairing = home.startCommand(['pair', '--yes', '--json'])
  pairing.write()
  const linkIn = () => pairing.stdout.split('\n').map(parseJson).find(hasLink)
  const look = async () => {
    const found = linkIn()
    return found === undefined ? { waiting: 'no link yet' } : { done: found.link }
  }
  const link = await waitFor('the link', look, { withinMs: SOON_MS, needs: pairing })
  // By standard input: the link is a secret, and other users can read a process's arguments.
  await office.type(['join', '-', '--name', 'office', '--json'], link)
  await pairing.ended
  await office.up()
  await office.inSync({ withinMs: SOON_MS })
}

function hasLink(said: unknown): said is { link: string } {
  return typeof said === 'object' && said !== null && typeof (said as Record<string, unknown>)['link'] === 'string'
}

/** The other machine's new agent is known here after a moment. */
async function granted(home: Machine, name: string): Promise<void> {
  const look = async () => {
    const { code, stderr } = await home.attempt(['share', 'set', 'boss', `inbox=${name}:write`, '--new-layer', '--yes'])
    return code === 0 ? { done: true } : { waiting: stderr.trim() }
  }
  await waitFor(`${name} to be known at home`, look, { withinMs: SOON_MS })
}

/** With a token of its own, which is no argument: others could read it there. */
async function program(machine: Machine, script: string, name: string, args: readonly string[] = []): Promise<Actor> {
  const { token } = await machine.call('agents.token', ['agents', 'token', name])
  const file = fileURLToPath(new URL(`./${script}.js`, import.meta.url))
  const actor = stage.start(name, file, args, { SEALMESH_HOME: machine.home, SEALMESH_AGENT_TOKEN: token ?? '' })
  actor.write()
  return actor
}

async function said(actor: Actor, words: string): Promise<void> {
  const look = async () => (actor.stdout.includes(words) ? { done: true } : { waiting: actor.stdout.trim() })
  await waitFor(`${actor.title} to say so`, look, { withinMs: SOON_MS, needs: actor })
}
