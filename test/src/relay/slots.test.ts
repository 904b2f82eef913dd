import type { SlotId } from '@sealmesh/protocol/ids'
import { toHex } from '@sealmesh/protocol/bytes'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { contradict, hashOfBlob, SLOT_BLOB_BYTES, slotMessage } from '@sealmesh/protocol/wire/slot'
import type { FrameOf } from '@sealmesh/protocol/wire/frame'
import { loadSodium } from '@sealmesh/sodium/load'
import { beforeEach, describe, expect, test } from 'vitest'
import { type Member, TestMesh } from './mesh.ts'
import { type Client, SimulatedRelay } from './simulated-relay.ts'

let sodium: Sodium
let relay: SimulatedRelay
let mesh: TestMesh
let alice: Member
let bob: Member

function begin(limits: ConstructorParameters<typeof SimulatedRelay>[1] = {}): void {
  relay = new SimulatedRelay(sodium, limits)
  mesh = new TestMesh(sodium, 'slots')
  relay.admit(mesh.id)
  alice = mesh.member('alice')
  bob = mesh.member('bob')
}
beforeEach(async () => {
  sodium = await loadSodium()
  begin()
})

const SLOT = '5a'.repeat(32) as SlotId
const blobOf = (what: string): Uint8Array => Buffer.alloc(SLOT_BLOB_BYTES, what)
const hashOf = (what: string | null): Uint8Array | null => (what === null ? null : hashOfBlob(blobOf(what), sodium))
const nonce = (request: number): Uint8Array => new Uint8Array(16).fill(request)

let request = 0
const set = (client: Client, what: string, over: string | null, leastAgeMs = 0, slot = SLOT): number => {
  request += 1
  const expected = hashOf(over)
  client.say({ type: 'setSlot', request, nonce: nonce(request), slot, expected, leastAgeMs, blob: blobOf(what) })
  return request
}
const read = (client: Client, slot = SLOT): number => {
  request += 1
  client.say({ type: 'readSlot', request, nonce: nonce(request), slot })
  return request
}
/** What it was told: of a slot, or why not; undefined while nothing has come. */
const told = (client: Client, asked: number) =>
  client.frames.find(
    (frame): frame is FrameOf<'slot' | 'done'> =>
      (frame.type === 'slot' || frame.type === 'done') && frame.request === asked,
  )
const resultOf = (client: Client, asked: number) => {
  const frame = told(client, asked)
  return frame?.type === 'done' ? frame.reason : frame?.result
}
const blobIn = (client: Client, asked: number): string | null => {
  const frame = told(client, asked)
  return frame?.type === 'slot' && frame.blob !== null ? String.fromCharCode(frame.blob[0]!) : null
}

describe('a slot', () => {
  test('changes for who names what is there, and tells others what that is', () => {
    const [one, other] = [relay.login(alice), relay.login(bob)]
    const first = set(one, 'a', null)
    relay.commit()
    expect(resultOf(one, first)).toBe('set')
    const stale = set(other, 'b', null)
    expect([resultOf(other, stale), blobIn(other, stale)]).toEqual(['differs', 'a'])
    const second = set(other, 'b', 'a')
    relay.commit()
    expect(resultOf(other, second)).toBe('set')
    const now = read(one)
    expect([resultOf(one, now), blobIn(one, now)]).toEqual(['read', 'b'])
    expect(told(one, now)).toMatchObject({ counter: 2 })
  })

  test('is not replaced before its blob has the age that is asked for', () => {
    const [one, other] = [relay.login(alice), relay.login(bob)]
    set(one, 'a', null)
    relay.commit()
    relay.nowMs += 9_999
    const early = set(other, 'b', 'a', 10_000)
    expect([resultOf(other, early), told(other, early)]).toMatchObject(['young', { ageMs: 9_999 }])
    const renewed = set(one, 'c', 'a')
    relay.commit()
    expect(resultOf(one, renewed)).toBe('set')
    relay.nowMs += 10_000
    expect(resultOf(other, set(other, 'b', 'a', 10_000))).toBe('differs')
    const due = set(other, 'b', 'c', 10_000)
    relay.commit()
    expect(resultOf(other, due)).toBe('set')
  })

  test('says nothing of a blob before it is durable, to nobody', () => {
    const [one, other] = [relay.login(alice), relay.login(bob)]
    const first = set(one, 'a', null)
    const rival = set(other, 'b', null)
    const seen = read(other)
    expect([told(one, first), told(other, rival), told(other, seen)]).toEqual([undefined, undefined, undefined])
    relay.settle()
    expect([resultOf(one, first), resultOf(other, rival), blobIn(other, seen)]).toEqual(['set', 'differs', 'a'])
  })

  test('is what it was when the disk does not take the blob, and who waits is told of that', () => {
    const [one, other] = [relay.login(alice), relay.login(bob)]
    set(one, 'a', null)
    relay.commit()
    const lost = set(one, 'b', 'a')
    const after = read(other)
    relay.failCommit('DISK_FULL')
    expect([resultOf(one, lost), blobIn(other, after)]).toEqual(['DISK_FULL', 'a'])
    const never = set(one, 'x', null, 0, 'ab'.repeat(32) as SlotId)
    relay.failCommit('DISK_FAILED')
    expect(resultOf(one, never)).toBe('DISK_FAILED')
    expect(relay.state.meshes.get(mesh.id)?.slots.size).toBe(1)
  })

  test('outlives a crash with what was durable, and its age begins anew', () => {
    set(relay.login(alice), 'a', null)
    relay.commit()
    relay.nowMs += 60_000
    set(relay.login(alice), 'b', 'a')
    relay.crash()
    const one = relay.login(alice)
    const now = read(one)
    expect([blobIn(one, now), told(one, now)]).toMatchObject(['a', { counter: 1, ageMs: 0 }])
    relay.nowMs += 5_000
    expect(resultOf(one, set(one, 'b', 'a', 5_001))).toBe('young')
    const due = set(one, 'b', 'a', 5_000)
    relay.commit()
    expect(resultOf(one, due)).toBe('set')
  })

  test('is of one mesh', () => {
    const foreign = new TestMesh(sodium, 'another')
    relay.admit(foreign.id)
    set(relay.login(alice), 'a', null)
    relay.commit()
    const carol = relay.login(foreign.member('carol'))
    const seen = read(carol)
    expect([resultOf(carol, seen), blobIn(carol, seen), told(carol, seen)]).toMatchObject([
      'read',
      null,
      { counter: 0 },
    ])
  })
})

describe('what a relay says of a slot', () => {
  const receiptOf = (member: Client, asked: number) => {
    const frame = told(member, asked)
    if (frame?.type !== 'slot') throw new Error('no answer')
    const hash = frame.blob === null ? null : hashOfBlob(frame.blob, sodium)
    const { relay: id, generation } = relay.state
    const { result, counter, ageMs, signature } = frame
    return {
      relay: id,
      generation,
      mesh: mesh.id,
      slot: SLOT,
      nonce: nonce(asked),
      result,
      counter,
      ageMs,
      hash,
      signature,
    }
  }

  test('is signed, for this question', () => {
    const one = relay.login(alice)
    set(one, 'a', null)
    relay.commit()
    const receipt = receiptOf(one, read(one))
    const key = Buffer.from(relay.state.relay, 'hex')
    expect(sodium.verify(receipt.signature, slotMessage(receipt), key as never)).toBe(true)
    for (const change of [
      { nonce: nonce(99) },
      { counter: 2 },
      { ageMs: 1 },
      { result: 'set' as const },
      { hash: hashOf('b') },
    ])
      expect(sodium.verify(receipt.signature, slotMessage({ ...receipt, ...change }), key as never)).toBe(false)
  })

  test('convicts it when it has told two machines of two blobs', () => {
    const one = relay.login(alice)
    set(one, 'a', null)
    relay.commit()
    const honest = receiptOf(one, read(one))
    const again = receiptOf(one, read(one))
    expect(contradict(honest, again)).toBe(false)
    expect(contradict(honest, { ...again, hash: hashOf('b') })).toBe(true)
    expect(contradict(honest, { ...again, hash: null })).toBe(true)
    expect(contradict(honest, { ...again, counter: 2, hash: hashOf('b') })).toBe(false)
    expect(contradict(honest, { ...again, generation: new Uint8Array(16), hash: hashOf('b') })).toBe(false)
  })
})

describe('bounds', () => {
  test('of slots, which a mesh may invent', () => {
    begin({ meshSlotsMax: 2 })
    const one = relay.login(alice)
    const slots = ['01', '02', '03'].map((byte) => byte.repeat(32) as SlotId)
    const asked = slots.map((slot) => {
      const number = set(one, 'a', null, 0, slot)
      relay.commit()
      return number
    })
    expect(asked.map((each) => resultOf(one, each))).toEqual(['set', 'set', 'QUOTA_SLOTS'])
    // To read one that is not there makes none.
    expect(resultOf(one, read(one, 'ff'.repeat(32) as SlotId))).toBe('read')
    expect(toHex(relay.state.generation)).toHaveLength(32)
    expect(relay.state.meshes.get(mesh.id)?.slots.size).toBe(2)
  })

  test('of questions that wait, and theirs who have gone away are let go', () => {
    begin({ slotQuestionsMax: 2 })
    const [one, other] = [relay.login(alice), relay.login(bob)]
    set(one, 'a', null)
    const asked = [read(other), read(other), read(other)]
    expect(asked.map((each) => resultOf(other, each))).toEqual([undefined, undefined, 'QUOTA_SLOTS'])
    relay.drop(one)
    relay.settle()
    expect(asked.map((each) => resultOf(other, each))).toEqual(['read', 'read', 'QUOTA_SLOTS'])
    expect(resultOf(other, read(other))).toBe('read')
  })

  test('an idled connection of a login that came twice sets nothing', () => {
    const older = relay.login(alice)
    relay.login(alice)
    expect(resultOf(older, set(older, 'a', null))).toBe('DUPLICATE_LOGIN')
    expect(resultOf(older, read(older))).toBe('read')
  })
})
