import { connect } from 'node:net'
import { agentMethods, RIGHTS } from '@sealmesh/protocol/ipc/agent-methods'
import { methods } from '@sealmesh/protocol/ipc/methods'
import { expect, test } from 'vitest'
import { seededRandom } from '../envelope/scene.ts'
import { request } from '../ipc/fake-node.ts'
import { until } from '../processes/wait.ts'
import { agentsNode, collect } from './agents-node.ts'
import { jsonFrame, RawFrames, sendFrame } from './raw-frames.ts'

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
  await node.share('alice', 'inbox', 'alice:write')
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
  const wildCall = (id: number, as: number) => {
    const params = Object.fromEntries(fields.filter(() => pick([true, false])).map((field) => [field, pick(WORDS)]))
    const nearly = { as, to: pick(NAMES), type: 'text', umr: `${pick(NAMES)}.semantic.secret`, words: SECRET }
    return request(id, pick(known), pick([true, false]) ? { ...params, ...nearly } : params)
  }
  /** A call, a `send` of which everything is sound or one byte is not, or nothing but bytes. */
  const wildFrame = (id: number, as: number): Buffer => {
    const [choice = 0, at = 0, value = 0] = random(3)
    if (choice < 128) return jsonFrame(wildCall(id, as))
    const frame = sendFrame({ as, request: id + 1, to: pick(NAMES) }, pick(['1', '"x"', '{', '']))
    if (choice < 200) frame[4 + (at % (frame.length - 4))] = value
    else if (choice < 220) frame.set(random(frame.length - 4), 4)
    return frame
  }
  const calmly = async (): Promise<void> => {
    times.push(...(await timesOf(() => alice.send({ to: 'alice', type: 'text' }), 4)))
  }
  for (const rights of [[], RIGHTS]) {
    const token = await node.token('mallory', rights)
    const raw = await node.raw()
    raw.send(request('hello', 'hello', { version: 1 }))
    raw.send(request('attach', 'attach', { token }))
    const [, attached] = await raw.take(2)
    const as = (attached?.result as { as?: number } | undefined)?.as ?? 0
    expect(as).toBeGreaterThan(0)
    for (let sent = 0; sent < CALLS / 4; sent += AT_ONCE) {
      const before = raw.lines.length
      raw.send(...Array.from({ length: AT_ONCE }, (_, at) => wildCall(at, as)))
      await calmly()
      await raw.take(before + AT_ONCE)
    }
    raw.send(request('end', 'hello', { version: 1 }))
    await until('all is answered', () => raw.lines.some(({ id }) => id === 'end'))
    answers.push(JSON.stringify(raw.lines.filter(({ id }) => id !== 'attach')))
    raw.destroy()
    await until('it has left', async () => (await node.owner('agents.tokens', {})).tokens.every(isAway('mallory')))

    const framed = await RawFrames.open(node.socketPath)
    framed.say(request('attach', 'attach', { token }))
    const handle = ((await framed.answer('attach')).result as { as: number }).as
    for (let sent = 0; sent < CALLS / 4; sent += AT_ONCE) {
      const before = framed.got.length
      framed.socket.write(Buffer.concat(Array.from({ length: AT_ONCE }, (_, at) => wildFrame(at, handle))))
      await calmly()
      // Some say of themselves that no answer is wanted.
      await until('most are answered', () => framed.got.length >= before + AT_ONCE / 2)
    }
    framed.say(request('end', 'hello', { version: 1 }))
    await framed.answer('end')
    const told = framed.got.filter((each) => typeof each === 'object')
    answers.push(JSON.stringify(told.filter(({ body }) => !body.includes('"id":"attach"'))))
    framed.socket.destroy()
    await until('it has left', async () => (await node.owner('agents.tokens', {})).tokens.every(isAway('mallory')))
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

const isAway =
  (name: string) =>
  (token: { readonly name: string; readonly attached: boolean }): boolean =>
    token.name !== name || !token.attached

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
