import { connect } from 'node:net'
import { agentMethods, RIGHTS } from '@sealmesh/protocol/ipc/agent-methods'
import { methods } from '@sealmesh/protocol/ipc/methods'
import { expect, test } from 'vitest'
import { seededRandom } from '../envelope/scene.ts'
import { request } from '../ipc/fake-node.ts'
import { until } from '../processes/wait.ts'
import { agentsNode, collect } from './agents-node.ts'

/** A local program whose token allows nothing, then everything that others have not granted it. */

const CALLS = 10_000
const AT_ONCE = 200
const SECRET = 'rosebud'
const NAMES = ['alice', 'bob-the-hidden', 'carol-the-hidden']

const WORDS = [
  ...NAMES.map((name) => `${name}.semantic.secret`),
  ...NAMES,
  '*',
  '#topic',
  'mallory',
  'alice@home',
  '',
  '__proto__',
  'constructor',
  '\u0000',
  'x'.repeat(2_000),
  0,
  1,
  -1,
  2 ** 53,
  1.5,
  null,
  true,
  [],
  {},
  [[[[]]]],
  { as: 1 },
]

test('ten thousand wild calls from a client without rights break nothing, tell nothing, and hold nobody up', async () => {
  const node = await agentsNode([...NAMES, 'mallory'], { config: '[messages]\ntalk = "granted"\n' })
  const alice = await node.attach('alice')
  await node.owner('share.set', { agent: 'alice', changes: [{ layer: 'inbox', to: 'alice:write' }], newLayer: true })
  const own = collect(alice)
  for (const name of NAMES) await node.owner('set', { umr: `${name}.semantic.secret`, value: `"${SECRET}"` })
  const control = await timesOf(() => alice.send({ to: 'alice', type: 'text' }))
  const random = seededRandom('hostile agents')
  const pick = <T>(from: readonly T[]): T => from[random(1)[0]! % from.length] as T
  // Whoever detaches itself only gets the same refusal from then on.
  const known = [...Object.keys(agentMethods), ...Object.keys(methods)].filter((method) => method !== 'detach')
  const fields = ['as', 'to', 'type', 'payload', 'umr', 'value', 'words', 'prefix', 'limit', 'token', 'profile', 'id']
  const answers: string[] = []
  const times: number[] = []
  for (const rights of [[], RIGHTS]) {
    const raw = await node.raw()
    raw.send(request('hello', 'hello', { version: 1 }))
    raw.send(request('attach', 'attach', { token: await node.token('mallory', rights) }))
    const [, attached] = await raw.take(2)
    const as = (attached?.result as { as?: number } | undefined)?.as ?? 0
    expect(as).toBeGreaterThan(0)
    for (let sent = 0; sent < CALLS / 2; sent += AT_ONCE) {
      const before = raw.lines.length
      const calls = Array.from({ length: AT_ONCE }, (_, at) => {
        const params = Object.fromEntries(fields.filter(() => pick([true, false])).map((field) => [field, pick(WORDS)]))
        const nearly = { as, to: pick(NAMES), type: 'text', umr: `${pick(NAMES)}.semantic.secret`, words: SECRET }
        return JSON.stringify(request(at, pick(known), pick([true, false]) ? { ...params, ...nearly } : params))
      })
      raw.send(`${calls.join('\n')}\n`)
      times.push(...(await timesOf(() => alice.send({ to: 'alice', type: 'text' }), 4)))
      await raw.take(before + AT_ONCE)
    }
    raw.send(request('end', 'hello', { version: 1 }))
    await until('all is answered', () => raw.lines.some(({ id }) => id === 'end'))
    answers.push(JSON.stringify(raw.lines.filter(({ id }) => id !== 'attach')))
    raw.destroy()
  }
  for (const bytes of ['\n\n\n', '{"jsonrpc":"2.0"', '\xff\xfe\n', '[]\n', 'null\n', `${'['.repeat(100_000)}\n`]) {
    const wild = connect(node.socketPath)
    wild.on('error', () => undefined)
    await new Promise<void>((resolve) => wild.end(Buffer.from(bytes, 'latin1'), () => resolve()))
    wild.on('data', (chunk) => answers.push(chunk.toString()))
    await new Promise((resolve) => wild.once('close', resolve))
  }

  const said = answers.join('\n')
  expect(said).not.toContain(SECRET)
  // It says these names itself, and nothing that it says comes back.
  expect(said).not.toContain('-the-hidden')
  expect(said).not.toContain('INTERNAL')
  expect(own.got.every(({ message }) => message.from === 'alice@home')).toBe(true)
  // A wide bound: two busy cores. The bench measures the narrow one.
  expect(median(times)).toBeLessThan(20 * median(control) + 20)
  expect((await node.attach('mallory')).name).toBe('mallory')
})

async function timesOf(call: () => Promise<unknown>, count = 50): Promise<number[]> {
  const times: number[] = []
  for (let at = 0; at < count; at++) {
    const startedAtMs = performance.now()
    await call()
    times.push(performance.now() - startedAtMs)
  }
  return times
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
