import { type AgentMethodInput, type AgentMethodName, agentMethods } from '@sealmesh/protocol/ipc/agent-methods'
import { FRAME_KINDS } from '@sealmesh/protocol/ipc/compact'
import { expect, test } from 'vitest'
import { request } from '../ipc/fake-node.ts'
import { type AgentsNode, agentsNode } from './agents-node.ts'
import { RawFrames, sendFrame } from './raw-frames.ts'

/** Whatever an agent was not granted looks like what is not there, in every method of the door. */

const SECRET = 'rosebud'
const SECRET_JSON = JSON.stringify(SECRET)
const REVOKED = 'a token that was taken back'

/** One call about what is there and not granted, and the same about what is not there. */
type Probe<M extends AgentMethodName> = readonly [Asked<M>, Asked<M>]
type Asked<M extends AgentMethodName> = Omit<AgentMethodInput<M>, 'as'>
/** A method that is added to the door does not compile until it has its row. */
const PROBES: { readonly [M in AgentMethodName]: readonly Probe<M>[] } = {
  hello: [[{ version: 1 }, { version: 1 }]],
  attach: [[{ token: REVOKED }, { token: `smagent_${'x'.repeat(43)}` }]],
  detach: [],
  'profile.set': [[{ profile: { role: 'spy' } }, { profile: { role: 'spies' } }]],
  status: [[{}, {}]],
  'agents.ls': [
    [{ capability: 'hides' }, { capability: 'nothing' }],
    [{ role: 'keeper' }, { role: 'nobody' }],
  ],
  'agents.watch': [],
  send: ['text', 'task-request'].flatMap((type) =>
    [false, true].flatMap((durable) => [
      [
        { to: 'alice', type, durable },
        { to: 'nobody', type, durable },
      ] as const,
      [
        { to: 'alice@home', type, durable },
        { to: 'alice@nowhere', type, durable },
      ] as const,
      [
        { to: 'away', type, durable },
        { to: 'nobody', type, durable },
      ] as const,
      [
        { to: '#plans', type, durable },
        { to: '#nothing', type, durable },
      ] as const,
    ]),
  ),
  'topics.join': [[{ topic: 'plans' }, { topic: 'nothing' }]],
  'topics.leave': [[{ topic: 'plans' }, { topic: 'nothing' }]],
  'inbox.take': [[{}, {}]],
  'inbox.ack': [[{ place: 1 }, { place: 4_711 }]],
  history: [
    [{ from: 'alice' }, { from: 'nobody' }],
    [{ to: 'bob' }, { to: 'nobody' }],
    [{ correlation: 'said' }, { correlation: 'unsaid' }],
    [{ type: 'directive' }, { type: 'nothing' }],
  ],
  'memory.get': pairs((umr) => ({ umr })),
  'memory.why': pairs((umr) => ({ umr })),
  'memory.set': pairs((umr) => ({ umr, value: '1' })),
  'memory.text': pairs((umr) => ({ umr, text: 'x' })),
  'memory.rm': pairs((umr) => ({ umr })),
  'memory.ls': pairs((prefix) => ({ prefix, values: true })),
  'memory.search': pairs((prefix) => ({ prefix, words: SECRET })),
  'memory.watch': pairs((prefix) => ({ prefix })),
}

/** Items, layers and agents that are there, beside ones that are not. */
function pairs<P>(make: (umr: string) => P): readonly (readonly [P, P])[] {
  const there = [
    'alice.semantic.secret',
    'alice.notes.secret',
    'alice.diary.x',
    'alice.tasks.task.x',
    'away.semantic.x',
  ]
  const absent = ['alice.semantic.none', 'alice.nothing.x', 'nobody.semantic.secret', 'nobody.diary.x']
  return there.flatMap((umr) => absent.map((other) => [make(umr), make(other)] as const))
}

async function houseOfSecrets(): Promise<AgentsNode> {
  const names = ['alice', 'bob', 'away', 'friend', 'mallory']
  const node = await agentsNode(names, { config: '[messages]\ntalk = "granted"\n' })
  await node.share('bob', 'inbox', 'alice:write')
  await node.share('friend', 'inbox', 'mallory:write')
  await node.share('friend', 'semantic', 'mallory')
  const set = (umr: string) => node.owner('set', { umr, value: SECRET_JSON, newLayer: true })
  for (const umr of ['alice.semantic.secret', 'alice.tasks.task.x', 'away.semantic.x', 'friend.semantic.open'])
    await set(umr)
  await node.owner('text.put', { umr: 'alice.notes.secret', text: SECRET, newLayer: true })
  await node.owner('set', { umr: 'alice.diary.x', value: SECRET_JSON, tags: [], newLayer: true })
  const alice = await node.attach('alice', { profile: { role: 'keeper', capabilities: ['hides'] } })
  await alice.join('plans')
  await node.attach('bob', { inbox: 'pull' })
  await alice.send({ to: 'bob', type: 'directive', payload: SECRET, correlation: 'said' })
  return node
}

const rest = ({ id: _id, ...answer }: object & { id?: unknown }): string =>
  // Of a message that goes nowhere its id is told.
  JSON.stringify(answer).replace(/"id":"[^"]*"/, '"id":""')

for (const framing of ['lines', 'compact'] as const)
  test(`what is not granted is answered as what is not there, byte for byte, in every method (${framing})`, async () => {
    const node = await houseOfSecrets()
    const revoked = await node.token('away', [])
    await node.owner('agents.token', { name: 'away', action: 'rotate' })
    const ask = framing === 'lines' ? await asksByLines(node) : await asksByFrames(node)
    const mallory = await ask('attach', { token: node.tokens.get('mallory') ?? '', inbox: 'pull' })
    const { as } = JSON.parse(mallory).result as { as: number }
    const said = [mallory]
    for (const [method, probes] of Object.entries(PROBES))
      for (const [real, absent] of probes as readonly Probe<AgentMethodName>[]) {
        const token = (real as { token?: string }).token === REVOKED ? { token: revoked } : {}
        const first = await ask(method, { ...real, ...token, as })
        expect(first, `${method} ${JSON.stringify(real)}`).toBe(await ask(method, { ...absent, as }))
        said.push(first)
      }
    // Of another's handle nothing can be told either, whatever is asked.
    const params = { to: 'a', type: 'text', umr: 'a.b.c', value: '1', words: 'x', text: 'x', prefix: '', topic: 'x' }
    for (const method of Object.keys(agentMethods).filter((name) => !['hello', 'attach'].includes(name))) {
      const askAs = (handle: number) => ask(method, { ...params, place: 1, profile: {}, as: handle })
      const others = await askAs(as - 1)
      expect(others).toBe(await askAs(4_711))
    }
    const all = said.join('\n')
    for (const word of [SECRET, 'alice', 'bob', 'away', 'keeper', 'hides', 'INTERNAL']) expect(all).not.toContain(word)
    // What was granted is there: nothing above is silent because nothing is ever said.
    expect(await ask('memory.get', { as, umr: 'friend.semantic.open' })).toContain(SECRET)
    expect(await ask('agents.ls', { as })).toContain('"friend"')
  })

test('what is not granted is not told to who watches, and what is granted is', async () => {
  const node = await houseOfSecrets()
  const mallory = await node.attach('mallory')
  const told: string[] = []
  expect((await mallory.watchAgents(({ agent, event }) => void told.push(`${agent.name} ${event}`))).length).toBe(2)
  for (const prefix of ['', 'alice', 'alice.semantic.secret', 'friend'])
    await mallory.watchMemory(prefix, ({ umr }) => void told.push(umr))
  for (const umr of ['alice.semantic.secret', 'away.semantic.x', 'friend.semantic.open'])
    await node.owner('set', { umr, value: '2' })
  await node.attach('away')
  const friend = await node.attach('friend')
  await expect.poll(() => told.includes('friend arrived') && told.includes('friend.semantic.open')).toBe(true)
  await friend.send({ to: 'friend', type: 'text' })
  expect(new Set(told)).toEqual(new Set(['friend.semantic.open', 'friend arrived']))
})

test('an answer about what is not granted takes as long as one about what is not there', async () => {
  const node = await houseOfSecrets()
  const mallory = await node.attach('mallory')
  const asks = [
    (name: string) => mallory.read(`${name}.semantic.secret`),
    (name: string) => mallory.list(`${name}.semantic.`),
    (name: string) => mallory.search({ words: SECRET, prefix: `${name}.` }),
    (name: string) => mallory.send({ to: name, type: 'text' }).catch(() => undefined),
  ]
  for (const ask of asks) {
    const times: { readonly alice: number[]; readonly nobody: number[] } = { alice: [], nobody: [] }
    for (let at = 0; at < 300; at++)
      for (const name of ['alice', 'nobody'] as const) {
        const startedAtMs = performance.now()
        await ask(name)
        times[name].push(performance.now() - startedAtMs)
      }
    const [real, absent] = [middle(times.alice), middle(times.nobody)]
    // In turns and by their middle; a look into the document would be many times as long.
    expect(real / absent).toBeLessThan(2.5)
    expect(absent / real).toBeLessThan(2.5)
  }
})

const middle = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

type Ask = (method: string, params: object) => Promise<string>

async function asksByLines(node: AgentsNode): Promise<Ask> {
  const raw = await node.raw()
  return async (method, params) => {
    const at = raw.lines.length
    raw.send(request(at, method, params))
    return rest((await raw.take(at + 1))[at] as object)
  }
}

async function asksByFrames(node: AgentsNode): Promise<Ask> {
  const raw = await RawFrames.open(node.socketPath)
  let asked = 0
  return async (method, params) => {
    asked += 1
    if (method !== 'send') raw.say(request(asked, method, params))
    else raw.socket.write(sendFrame({ ...params, request: asked }, 'null'))
    await expect.poll(() => raw.got.length, { interval: 1 }).toBe(asked)
    const frame = raw.got.at(-1)
    if (typeof frame !== 'object') throw new Error('that was no frame')
    // Of one that went well only the id differs, which is behind four numbers.
    if (frame.kind === FRAME_KINDS.sent) return Buffer.from(frame.head.slice(4, 16), 'latin1').toString('hex')
    return rest(JSON.parse(frame.body) as object)
  }
}
