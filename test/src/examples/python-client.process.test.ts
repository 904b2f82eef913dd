import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Patterns } from '@sealmesh/agent/patterns/patterns'
import { expect, onTestFinished, test } from 'vitest'
import { agentsNode, collect } from '../agents/agents-node.ts'
import { temporaryFolder } from '../keys/temporary-home.ts'
import { REPOSITORY } from '../processes/program.ts'
import { until } from '../processes/wait.ts'

const PAGE = join(REPOSITORY, 'docs/attach-from-another-language.md')
const hasPython = spawnSync('python3', ['--version']).status === 0

/** What a reader copies from the page. */
async function clientOfPage(): Promise<string> {
  const program = /^```python\n(.*?)^```$/ms.exec(await readFile(PAGE, 'utf8'))?.[1]
  if (program === undefined) throw new Error('the page has no Python client')
  return program
}

// A machine without Python cannot run it; every CI machine has one.
test.skipIf(!hasPython)('the Python client of the page attaches, answers by capability and acknowledges', async () => {
  const node = await agentsNode(['alice', 'ada'])
  const file = join(await temporaryFolder(), 'ada.py')
  await writeFile(file, await clientOfPage())
  const env = { ...process.env, SEALMESH_HOME: node.home, SEALMESH_AGENT_TOKEN: node.tokens.get('ada') ?? '' }
  const start = () => {
    const child = spawn('python3', [file], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += String(chunk)))
    onTestFinished(() => void child.kill())
    return { child, said: () => said }
  }
  const python = start()
  await until('it is attached', () => python.said().includes('ada is attached'))

  const alice = await node.attach('alice')
  const heard = collect(alice)
  const patterns = await Patterns.start(alice)
  onTestFinished(() => patterns.close())
  const end = await patterns.asker.ask('sum', [1, 2, 39], { withinMs: 20_000 })
  expect(end, python.said()).toMatchObject({ state: 'answered', by: 'ada', value: 42 })
  const { id } = await alice.send({ to: 'ada', type: 'text', payload: 'Grüße', durable: true })
  await until('it has answered', () => heard.got.some(({ message }) => message.type === 'text'))
  const answer = heard.got.find(({ message }) => message.type === 'text')?.message
  expect(answer).toMatchObject({
    from: 'ada@home',
    payload: 'you said: Grüße',
    correlation: id,
    parents: [id],
    hops: 1,
  })

  // Whoever takes the next message has acknowledged this one: after its death that does not come again.
  expect(await patterns.asker.ask('sum', [1], { withinMs: 20_000 })).toMatchObject({ value: 1 })
  const texts = () => heard.got.filter(({ message }) => message.type === 'text').length
  const gone = once(python.child, 'close')
  python.child.kill('SIGKILL')
  await gone
  await alice.send({ to: 'ada', type: 'text', payload: 'are you back?', durable: true })
  start()
  await until('it has answered again', () => texts() >= 2)
  expect(heard.got.at(-1)?.message.payload).toBe('you said: are you back?')
  expect(texts()).toBe(2)
})
