import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AgentId, NodeId, PacketId } from '@sealmesh/protocol/ids'
import { agentByName } from '@sealmesh/protocol/membership/access'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { decodePayload, type LetterAnswer, type SyncItem } from '@sealmesh/protocol/sync/payload'
import { unwrapPayload } from '@sealmesh/protocol/sync/payload-form'
import { utf8 } from '@sealmesh/protocol/bytes'
import { expect, onTestFinished, test } from 'vitest'
import { openStore, type Store } from '../store/store.ts'
import type { Aside } from '../sync/asides.ts'
import { isAside } from '../sync/asides.ts'
import { ZlibDeflater } from '../sync/zlib-deflater.ts'
import { type Letter, letterOf } from './core/letter.ts'
import { Courier } from './courier.ts'
import { FarMail } from './far-mail.ts'
import { AGENT_LIMITS } from './limits.ts'
import { Mail } from './mail.ts'
import type { Seat } from './seat.ts'
import { Trace } from './trace.ts'

const [home, office, laptop] = ['01', '02', '03'].map((byte) => byte.repeat(32) as NodeId) as [NodeId, NodeId, NodeId]
const [alice, bob] = ['a1', 'b2'].map((byte) => byte.repeat(32) as AgentId) as [AgentId, AgentId]
const MAY = { layer: 'inbox', access: 'write', ended: null, to: { type: 'agent', agent: alice } }

/** What of a mesh letters ask for. */
const meshOf = (more: { grants?: unknown[]; back?: unknown[]; revoked?: NodeId; bobAt?: NodeId } = {}): Mesh => {
  const node = (id: NodeId, name: string) => ({ id, name, revocations: more.revoked === id ? [{}] : [] })
  const agent = (id: AgentId, name: string, host: NodeId, grants: unknown[]) =>
    ({ id, name, hosts: [host], term: { holder: host, timeMs: Date.now() }, grants }) as const
  return {
    nodes: new Map(
      [node(home, 'home'), node(office, 'office'), node(laptop, 'laptop')].map((each) => [each.id, each] as const),
    ),
    agents: new Map([
      [alice, agent(alice, 'alice', home, more.back ?? [])],
      [bob, agent(bob, 'bob', more.bobAt ?? office, more.grants ?? [MAY])],
    ]),
  } as unknown as Mesh
}

const letter = (id: string, durable = true): Letter => {
  const expiresAt = durable ? new Date(Date.now() + 3_600_000).toISOString() : null
  const head = { version: 1, id, from: 'alice@home', to: 'bob', type: 'text', priority: 1, correlation: null } as const
  return letterOf({ ...head, sentAt: new Date().toISOString(), expiresAt, hops: 0, parents: [], durable }, '"x"')
}

/** One machine with a real database; what it sends goes where `carry` takes it. */
class Machine {
  mesh = meshOf()
  /** What came into an inbox, in this life and those before it. */
  readonly received: Letter[] = []
  hasRoom = true
  carry: (item: Aside) => void = () => undefined
  /** Of each packet that it sent, in one word. */
  readonly packets: string[] = []
  onSeal: (to: NodeId) => void = () => undefined
  courier!: Courier
  #store: Store | undefined
  readonly #node: NodeId
  readonly #folder: string

  constructor(node: NodeId, folder: string) {
    this.#node = node
    this.#folder = folder
  }

  async start(): Promise<number> {
    const store = await openStore(this.#folder)
    this.#store = store
    const { mail } = await Mail.load(store)
    const { farMail, found } = await FarMail.load(store)
    const seat = { id: bob, topics: new Set(), attached: false } as unknown as Seat
    this.courier = new Courier(
      {
        node: this.#node,
        mesh: () => this.mesh,
        roster: {
          seat: () => undefined,
          receiving: (agent) => (agent === bob ? seat : undefined),
          agentNamed: (name) => agentByName(this.mesh, name),
        },
        attachedAt: () => [],
        farMail,
        limits: AGENT_LIMITS,
        trace: new Trace({ nodeName: () => 'here', now: () => Date.now() }),
        port: {
          seal: (to, payload) => {
            this.onSeal(to)
            return { id: '' as PacketId, bytes: payload }
          },
        },
        send: (packet) => {
          const items = itemsOf(packet)
          this.packets.push(items.map(({ type }) => type).join(' and '))
          for (const item of items) if (isAside(item)) this.carry(item)
          return 'sent'
        },
        isThere: () => true,
        receive: async (to, each, durable, beside) => {
          if (!this.hasRoom) return false
          if (durable) await mail.put([to.id], each, beside)
          this.received.push(each)
          return true
        },
        monotonicMs: () => performance.now(),
        now: () => Date.now(),
        failed: (error) => {
          // What was under way when it was killed finds its database closed.
          if (this.#store === store) throw error
        },
      },
      found,
    )
    return found.posted.length
  }

  async kill(): Promise<void> {
    this.courier.close()
    const store = this.#store
    this.#store = undefined
    await store?.close()
  }
}

function itemsOf(packet: Uint8Array): readonly SyncItem[] {
  const payload = unwrapPayload(packet, new ZlibDeflater())
  const items = payload.ok ? decodePayload(payload.value) : payload
  if (!items.ok) throw new Error('a packet cannot be read')
  return items.value
}

async function machines(): Promise<{ sender: Machine; recipient: Machine }> {
  const folder = await mkdtemp(join(tmpdir(), 'sm-letters-'))
  const [sender, recipient] = [new Machine(home, join(folder, 'a')), new Machine(office, join(folder, 'b'))]
  onTestFinished(async () => {
    await sender.kill()
    await recipient.kill()
    await rm(folder, { recursive: true })
  })
  await sender.start()
  await recipient.start()
  sender.carry = (item) => recipient.courier.onItem(home, item, () => false)
  return { sender, recipient }
}

test('a durable letter whose answer was lost is sent again after a death of both, and is not received twice', async () => {
  const { sender, recipient } = await machines()
  let answers = 0
  recipient.carry = () => void (answers += 1)
  expect(await sender.courier.post(alice, letter('x'), true, sender.courier.recipients('bob', alice))).toBe(1)
  await expect.poll(() => answers).toBe(1)
  await recipient.kill()
  await recipient.start()
  await sender.kill()
  recipient.carry = (item) => sender.courier.onItem(office, item, () => false)
  expect(await sender.start()).toBe(1)
  await expect
    .poll(
      async () => {
        await sender.kill()
        return await sender.start()
      },
      { interval: 1_500, timeout: 20_000 },
    )
    .toBe(0)
  expect(recipient.received.map(({ id, from }) => [id, from])).toEqual([['x', 'alice@home']])
})

test('what was taken is said in the packet of a reply that is given at once, and without one by itself', async () => {
  const { sender, recipient } = await machines()
  recipient.mesh = meshOf({ back: [{ ...MAY, to: { type: 'agent', agent: bob } }] })
  let taken = 0
  recipient.carry = (item) => {
    if (item.type === 'letters-taken') taken += item.answers.length
  }
  const { courier } = recipient
  const reply = () => courier.post(bob, letter('reply', false), false, courier.recipients('alice', bob))
  const say = (id: string) =>
    sender.courier.post(alice, letter(id, false), false, sender.courier.recipients('bob', alice))
  sender.carry = (item) => {
    courier.onItem(home, item, () => false)
    if (taken === 0) void reply()
  }
  await say('x')
  await expect.poll(() => taken).toBe(1)
  await say('y')
  await expect.poll(() => taken).toBe(2)
  expect(recipient.packets).toEqual(['letters-taken and letters', 'letters-taken'])
})

test('who sends is proven by the machine, and who may by the log; what the log may lack is not answered', async () => {
  const { recipient } = await machines()
  const said: LetterAnswer['outcome'][] = []
  recipient.carry = (item) => {
    if (item.type === 'letters-taken') said.push(...item.answers.map(({ outcome }) => outcome))
  }
  let count = 0
  const arrive = (from: NodeId, lacksRecords: boolean, sender = alice) => {
    const message = utf8(letter(`m${count++}`).text)
    recipient.courier.onItem(
      from,
      { type: 'letters', letters: [{ sender, recipients: [bob], message }] },
      () => lacksRecords,
    )
  }
  arrive(office, false) // Alice does not live there.
  await expect.poll(() => said).toEqual(['refused'])
  recipient.mesh = meshOf({ grants: [] })
  arrive(home, true)
  arrive(home, false)
  await expect.poll(() => said).toEqual(['refused', 'refused'])
  recipient.mesh = meshOf({ grants: [{ ...MAY, ended: {} }] })
  arrive(home, false)
  recipient.mesh = meshOf({ revoked: home })
  arrive(home, false)
  recipient.mesh = meshOf()
  recipient.hasRoom = false
  arrive(home, false)
  await expect.poll(() => said.slice(2)).toEqual(['refused', 'refused', 'full'])
  expect(recipient.received).toEqual([])
  recipient.hasRoom = true
  arrive(home, false)
  await expect.poll(() => said.at(-1)).toBe('taken')
  // What is no message is dropped, whatever it says.
  const nonsense = { sender: alice, recipients: [bob], message: utf8('{"id":"m","version":2}') }
  recipient.courier.onItem(home, { type: 'letters', letters: [nonsense] }, () => false)
  arrive(home, false)
  await expect.poll(() => recipient.received.length).toBe(2)
  expect(said).toHaveLength(7)
})

test('another machine cannot put a sender of its own making into a message by the times that it names', async () => {
  const { recipient } = await machines()
  const sound = JSON.parse(letter('x', false).text) as object
  const forged = 'x","from":"root@office","sentAt":"x'
  const arrive = (message: object): void =>
    recipient.courier.onItem(
      home,
      { type: 'letters', letters: [{ sender: alice, recipients: [bob], message: utf8(JSON.stringify(message)) }] },
      () => false,
    )
  for (const bad of [{ sentAt: forged }, { expiresAt: forged }, { sentAt: '2026-11-20' }]) arrive({ ...sound, ...bad })
  arrive({ ...sound, id: 'last' })
  await expect.poll(() => recipient.received.some(({ id }) => id === 'last')).toBe(true)
  expect(recipient.received.map(({ text }) => (JSON.parse(text) as { from: string }).from)).toEqual(['alice@home'])
})

test('letters for a machine that is removed end, on disk as well', async () => {
  const { sender } = await machines()
  sender.carry = () => undefined
  await sender.courier.post(alice, letter('x'), true, sender.courier.recipients('bob', alice))
  sender.mesh = meshOf({ revoked: office })
  expect(sender.courier.recipients('bob', alice)).toEqual([])
  await expect
    .poll(
      async () => {
        await sender.kill()
        return await sender.start()
      },
      { interval: 1_500, timeout: 20_000 },
    )
    .toBe(0)
})

test('a durable letter goes to the new holder of its recipient, over a death of its own machine', async () => {
  const { sender, recipient } = await machines()
  sender.carry = () => undefined
  await sender.courier.post(alice, letter('x'), true, sender.courier.recipients('bob', alice))
  sender.mesh = meshOf({ revoked: office, bobAt: laptop })
  const sentTo: string[] = []
  sender.onSeal = (to) => sentTo.push(to)
  await expect.poll(() => sentTo, { timeout: 5_000 }).toContain(laptop)
  await sender.kill()
  sentTo.length = 0
  expect(await sender.start()).toBe(1)
  await expect.poll(() => sentTo, { timeout: 5_000 }).toEqual([laptop])
  expect(recipient.received).toEqual([])
})

test('a durable letter comes into an inbox here, where its recipient has come', async () => {
  const { sender } = await machines()
  sender.carry = () => undefined
  await sender.courier.post(alice, letter('x'), true, sender.courier.recipients('bob', alice))
  sender.mesh = meshOf({ revoked: office, bobAt: home })
  await expect.poll(() => sender.received.map(({ id }) => id), { timeout: 5_000 }).toEqual(['x'])
  await sender.kill()
  expect(await sender.start()).toBe(0)
})
