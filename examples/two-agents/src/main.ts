import { fileURLToPath } from 'node:url'
import { Machine } from '@sealmesh/demo/machine'
import { Narrator } from '@sealmesh/demo/narrator'
import { type Actor, DemoFailure, Stage, waitFor } from '@sealmesh/demo/stage'

/** A node in a temporary home, and two programs that are agents of it. Stops and removes everything it started. */

const SOON_MS = 20_000
const narrator = new Narrator(process.stdout)
const stage = new Stage()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

try {
  await perform()
  narrator.say('two-agents: ok')
} catch (error) {
  narrator.say(error instanceof DemoFailure ? error.message : String(error))
  narrator.say('two-agents: failed')
  process.exitCode = 1
} finally {
  await stage.clear()
}

async function perform(): Promise<void> {
  const home = new Machine(stage, 'home')
  await narrator.step('a node starts, with the agent alice; bob is added', async () => {
    await home.up(['--name', 'home', '--agent', 'alice', '--relay', 'none'])
    await home.type(['agents', 'add', 'bob'])
  })
  await narrator.step('bob attaches', async () => {
    const bob = await program(home, 'answerer', 'bob')
    await said(bob, 'bob is there')
  })
  const asker = await program(home, 'asker', 'alice')
  await narrator.step('alice asks', async () => {
    await waitFor('alice to end', async () => (asker.isOver ? { done: true } : { waiting: asker.stdout.trim() }), {
      withinMs: SOON_MS,
    })
    if (asker.outcome().code !== 0) throw new DemoFailure(asker.describe())
  })
  narrator.quote(asker.stdout)
}

/** With a token of its own, which is no argument: others could read it there. */
async function program(home: Machine, script: 'asker' | 'answerer', name: string): Promise<Actor> {
  const { token } = await home.call('agents.token', ['agents', 'token', name])
  const file = fileURLToPath(new URL(`./${script}.js`, import.meta.url))
  const actor = stage.start(name, file, [], { SEALMESH_HOME: home.home, SEALMESH_AGENT_TOKEN: token ?? '' })
  actor.write()
  return actor
}

function said(actor: Actor, words: string): Promise<true> {
  const look = async () => (actor.stdout.includes(words) ? { done: true as const } : { waiting: actor.stdout })
  return waitFor(`${actor.title} to say so`, look, { withinMs: SOON_MS, needs: actor })
}
