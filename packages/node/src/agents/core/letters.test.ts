import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { LetterAnswer } from '@sealmesh/protocol/sync/payload'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Letter, letterOf } from './letter.ts'
import { NOT_DURABLE_MS, Outbox, type Posted } from './outbox.ts'
import { type Mark, Taken } from './taken.ts'
import { UnderWay } from './under-way.ts'

const alice = 'a1'.repeat(32) as AgentId
const bob = 'b2'.repeat(32) as AgentId
const office = '0f'.repeat(32) as NodeId
const elsewhere = 'ee'.repeat(32) as NodeId

const letter = (id: string, payload = '1', expiresAt: string | null = null): Letter => {
  const head = { version: 1, id, from: 'alice@home', to: 'bob', type: 'text', priority: 1, correlation: null } as const
  const rest = { sentAt: '2026-11-20T00:00:00.000Z', expiresAt, hops: 0, parents: [], durable: false }
  return letterOf({ ...head, ...rest }, payload)
}
const posted = (id: string, more: Partial<Posted> = {}): Posted => ({
  sender: alice,
  agent: bob,
  node: office,
  letter: letter(id),
  durable: false,
  stored: null,
  ...more,
})
const at = (monotonicMs: number) => ({ monotonicMs, wallMs: monotonicMs })
const idsDue = (outbox: Outbox, ms: number): string[] =>
  outbox.due(at(ms)).flatMap((batch) => batch.posted.map((each) => each.letter.id))
const answerTo = (id: string, outcome: LetterAnswer['outcome']): LetterAnswer => ({
  sender: alice,
  recipient: bob,
  id,
  outcome,
  atMs: 0,
})
/** Sends all that is due, as a link that takes everything. */
const sendAll = (outbox: Outbox, ms: number): string[] => {
  const batches = outbox.due(at(ms))
  for (const batch of batches) outbox.sent(batch, at(ms))
  return batches.flatMap((batch) => batch.posted.map((each) => each.letter.id))
}

describe('what is on its way to another machine', () => {
  test('is sent again after pauses that double, until it is answered by that machine', () => {
    const outbox = new Outbox()
    outbox.add(posted('x', { durable: true, stored: 1 }), at(0))
    const sentAt: number[] = []
    for (let ms = 0; ms < 60_000; ms += 1_000) if (sendAll(outbox, ms).length > 0) sentAt.push(ms)
    expect(sentAt).toEqual([0, 2_000, 6_000, 14_000, 30_000])
    expect(outbox.answered(elsewhere, answerTo('x', 'taken'), at(60_000))).toBeUndefined()
    outbox.retry(office, at(60_000))
    expect(sendAll(outbox, 60_000)).toEqual(['x'])
    expect(outbox.answered(office, answerTo('x', 'taken'), at(60_000))?.stored).toBe(1)
    expect(outbox.size).toBe(0)
  })

  test('that a link did not take is due as before', () => {
    const outbox = new Outbox()
    outbox.add(posted('x'), at(0))
    expect(idsDue(outbox, 0)).toEqual(['x'])
    expect(idsDue(outbox, 1)).toEqual(['x'])
  })

  test('waits while the inbox there is full, and ends when it is refused', () => {
    const outbox = new Outbox()
    outbox.add(posted('x', { durable: true }), at(0))
    sendAll(outbox, 0)
    expect(outbox.answered(office, answerTo('x', 'full'), at(10))).toBeUndefined()
    expect(sendAll(outbox, 11)).toEqual([])
    expect(sendAll(outbox, 10_000)).toEqual(['x'])
    expect(outbox.answered(office, answerTo('x', 'refused'), at(10_001))).toBeDefined()
  })

  test('ends with its time, with its right, and where it is not durable, soon', () => {
    const outbox = new Outbox()
    outbox.add(posted('short'), at(0))
    outbox.add(posted('over', { durable: true, letter: letter('over', '1', new Date(50_000).toISOString()) }), at(0))
    outbox.add(posted('durable', { durable: true }), at(0))
    const dropped = (ms: number, may = true) => outbox.drop(at(ms), () => may).map((each) => each.letter.id)
    expect(dropped(NOT_DURABLE_MS - 1)).toEqual([])
    expect(dropped(NOT_DURABLE_MS)).toEqual(['short'])
    expect(dropped(50_000)).toEqual(['over'])
    expect(dropped(1e9)).toEqual([])
    expect(dropped(1e9, false)).toEqual(['durable'])
    expect(outbox.hasRoom(office, alice, letter('y'))).toBe(true)
  })

  test('has bounds for a sender, a machine and a packet, and gives room back', () => {
    const outbox = new Outbox()
    let count = 0
    while (outbox.hasRoom(office, alice, letter(`${count}`))) outbox.add(posted(`${count++}`), at(0))
    expect(count).toBe(2_048)
    expect(outbox.hasRoom(office, bob, letter('x'))).toBe(true)
    const large = letter('large', JSON.stringify('x'.repeat(120_000)))
    let bytes = 0
    for (let i = 0; outbox.hasRoom(office, bob, { ...large, id: `${i}` }); i++) {
      outbox.add(posted('', { sender: bob, letter: { ...large, id: `${i}` } }), at(0))
      bytes += large.bytes
    }
    expect(bytes).toBeLessThanOrEqual(8 * 1_048_576)
    for (const batch of outbox.due(at(0))) {
      expect(batch.posted.length).toBeLessThanOrEqual(64)
      if (batch.posted.length > 1)
        expect(batch.posted.reduce((sum, each) => sum + each.letter.text.length, 0)).toBeLessThan(49_152)
    }
    outbox.drop(at(0), () => false)
    expect(outbox.size).toBe(0)
    expect(outbox.hasRoom(office, alice, large)).toBe(true)
  })
})

test('marks of one sender make room for its own alone, and end with the letters', () => {
  const taken = new Taken()
  const mark = (sender: AgentId, id: string, endsAtMs = 100): Mark => ({
    sender,
    recipient: bob,
    id,
    endsAtMs,
    durable: true,
  })
  taken.add(mark(bob, 'kept', 200))
  const gone: string[] = []
  for (let i = 0; i < 8_200; i++) gone.push(taken.add(mark(alice, `${i}`))?.id ?? '')
  expect(gone.filter((id) => id !== '')).toEqual(['0', '1', '2', '3', '4', '5', '6', '7'])
  expect([taken.has(bob, bob, 'kept'), taken.has(alice, bob, '0'), taken.has(alice, bob, '9')]).toEqual([
    true,
    false,
    true,
  ])
  expect(taken.expire(100)).toHaveLength(8_192)
  expect([taken.has(bob, bob, 'kept'), taken.has(alice, bob, '9')]).toEqual([true, false])
})

/** One end or the network does something; the ends' disks are what they had committed. */
type Happening =
  | { readonly type: 'send' | 'tick' | 'crash-sender' | 'crash-recipient' | 'partition' | 'heal' | 'read' }
  | { readonly type: 'carry'; readonly pick: number; readonly fate: 'arrives' | 'lost' | 'twice' }

const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ type: 'send' as const }) },
  { weight: 4, arbitrary: fc.constant({ type: 'tick' as const }) },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('carry' as const),
      pick: fc.nat(1_000),
      fate: fc.constantFrom('arrives' as const, 'arrives' as const, 'lost' as const, 'twice' as const),
    }),
  },
  ...(['crash-sender', 'crash-recipient', 'partition', 'heal', 'read'] as const).map((type) => ({
    weight: 1,
    arbitrary: fc.constant({ type }),
  })),
)

/** Two machines as their drivers run the cores: disk before answer, mark together with letter. */
class TwoMachines {
  nowMs = 0
  readonly answered: string[] = []
  /** Everything that was ever put into the recipient's inbox. */
  readonly inbox: string[] = []
  #sent = 0
  #parted = false
  #outbox = new Outbox()
  #taken = new Taken()
  #room = 3
  readonly #outDisk = new Map<string, Posted>()
  readonly #markDisk: Mark[] = []
  #network: ({ readonly letter: Posted } | { readonly answer: LetterAnswer })[] = []

  do(event: Happening): void {
    switch (event.type) {
      case 'send': {
        const each = posted(`m${this.#sent++}`, { durable: true, stored: this.#sent })
        this.#outDisk.set(each.letter.id, each)
        this.#outbox.add(each, at(this.nowMs))
        this.answered.push(each.letter.id)
        return
      }
      case 'tick':
        this.nowMs += 5_000
        for (const batch of this.#outbox.due(at(this.nowMs))) {
          this.#outbox.sent(batch, at(this.nowMs))
          if (!this.#parted) this.#network.push(...batch.posted.map((each) => ({ letter: each })))
        }
        return
      case 'carry': {
        const [packet] = this.#network.splice(event.pick % Math.max(1, this.#network.length), 1)
        if (packet === undefined || event.fate === 'lost') return
        this.#arrive(packet)
        if (event.fate === 'twice') this.#network.push(packet)
        return
      }
      case 'crash-sender':
        this.#outbox = new Outbox()
        for (const each of this.#outDisk.values()) this.#outbox.add(each, at(this.nowMs))
        return
      case 'crash-recipient':
        this.#taken = new Taken()
        for (const mark of this.#markDisk) this.#taken.add(mark)
        return
      case 'partition':
        this.#parted = true
        this.#network = []
        return
      case 'heal':
        this.#parted = false
        this.#outbox.retry(office, at(this.nowMs))
        return
      case 'read':
        this.#room = 3
    }
  }

  /** The network is fair at last: everything that is sent arrives, and the inbox is read. */
  settle(): void {
    this.do({ type: 'heal' })
    for (let round = 0; round < 500 && this.#outbox.size > 0; round++) {
      this.do({ type: 'read' })
      this.do({ type: 'tick' })
      for (const packet of this.#network.splice(0)) this.#arrive(packet)
      for (const packet of this.#network.splice(0)) this.#arrive(packet)
    }
  }

  get waiting(): number {
    return this.#outbox.size
  }

  #arrive(packet: { readonly letter: Posted } | { readonly answer: LetterAnswer }): void {
    if ('answer' in packet) {
      const done = this.#outbox.answered(office, packet.answer, at(this.nowMs))
      if (done !== undefined) this.#outDisk.delete(done.letter.id)
      return
    }
    const { id } = packet.letter.letter
    const known = this.#taken.has(alice, bob, id)
    if (!known && this.#room > 0) {
      const mark = { sender: alice, recipient: bob, id, endsAtMs: Number.POSITIVE_INFINITY, durable: true }
      this.#markDisk.push(mark)
      this.#taken.add(mark)
      this.inbox.push(id)
      this.#room -= 1
    }
    const outcome = known || this.inbox.at(-1) === id ? 'taken' : 'full'
    if (!this.#parted) this.#network.push({ answer: answerTo(id, outcome) })
  }
}

test('every durable letter arrives, and none twice, whatever is lost, doubled, delayed, parted or killed', () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 120 }), (happenings) => {
      const machines = new TwoMachines()
      for (const each of happenings) machines.do(each)
      machines.settle()
      expect(machines.waiting).toBe(0)
      expect(machines.inbox.toSorted()).toEqual(machines.answered.toSorted())
    }),
    { numRuns: 300 },
  )
})

test('what another machine tells is believed of its own letters, until they are done with, and of no others', () => {
  const underWay = new UnderWay()
  underWay.add(posted('x'))
  expect(underWay.told(elsewhere, answerTo('x', 'acknowledged'))).toBeUndefined()
  expect(underWay.told(office, answerTo('y', 'taken'))).toBeUndefined()
  for (const outcome of ['taken', 'handed', 'acknowledged'] as const)
    expect(underWay.told(office, answerTo('x', outcome))).toMatchObject({ agent: bob, letter: { id: 'x', text: '' } })
  expect(underWay.told(office, answerTo('x', 'handed'))).toBeUndefined()
  for (let i = 0; i < 9_000; i++) underWay.add(posted(`m${i}`))
  expect(underWay.told(office, answerTo('m0', 'taken'))).toBeUndefined()
  expect(underWay.told(office, answerTo('m8999', 'taken'))).toBeDefined()
})
