import type { MailboxId, PacketId, RelayId } from '@sealmesh/protocol/ids'
import type { Outcome } from '@sealmesh/protocol/wire/frame'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Offers } from './offers.ts'

const [A, B, C] = ['aa', 'bb', 'cc'] as RelayId[] as [RelayId, RelayId, RelayId]
const reader = 'reader' as MailboxId
const DELIVERED: Outcome[] = [{ outcome: 'delivered' }]
const STORED: Outcome[] = [{ outcome: 'stored' }]
const REFUSED: Outcome[] = [{ outcome: 'refused', reason: 'QUOTA_BYTES' }]

const offer = (id: string, bytes = 100) => ({
  id: id as PacketId,
  bytes: new Uint8Array(bytes),
  mailboxes: [reader],
})

function sentTo(relay: RelayId, bytesMax?: number): Offers {
  const offers = new Offers(bytesMax)
  offers.sent(offer('p'), relay)
  return offers
}

const p = 'p' as PacketId

describe('one packet', () => {
  test('that was handed over is offered nowhere else', () => {
    const offers = sentTo(A)
    expect(offers.answered(p, A, DELIVERED, [A, B])).toMatchObject({ tell: DELIVERED, next: null })
    expect(offers.heldBytes).toBe(0)
  })

  test('that was only kept is told at once, and offered to the next, whose answer tells nobody anything new', () => {
    const offers = sentTo(A)
    expect(offers.answered(p, A, STORED, [A, B, C])).toMatchObject({ tell: STORED, next: B })
    offers.offeredTo(p, B)
    expect(offers.answered(p, B, DELIVERED, [A, B, C])).toMatchObject({ tell: null, next: null })
    expect(offers.heldBytes).toBe(0)
  })

  test('that one refuses is refused when all do, and taken when another takes it', () => {
    const all = sentTo(A)
    expect(all.answered(p, A, REFUSED, [A, B])).toMatchObject({ tell: null, next: B })
    all.offeredTo(p, B)
    expect(all.answered(p, B, REFUSED, [A, B])).toMatchObject({ tell: REFUSED, next: null })
    const one = sentTo(A)
    one.answered(p, A, REFUSED, [A, B])
    one.offeredTo(p, B)
    expect(one.answered(p, B, STORED, [A, B])).toMatchObject({ tell: STORED, next: null })
  })

  test('whose link falls before the answer goes to the next; without one it is in doubt', () => {
    const offers = sentTo(A)
    expect(offers.down(A, [B])).toMatchObject([{ tell: null, next: B }])
    offers.offeredTo(p, B)
    expect(offers.down(B, [])).toMatchObject([{ tell: null, next: null }])
    expect(offers.takeDoubt(B)).toBe(true)
    expect(offers.takeDoubt(B)).toBe(false)
    expect(offers.heldBytes).toBe(0)
  })

  test('for which the next has no room waits for it, and no longer than that relay is there', () => {
    const offers = sentTo(A)
    offers.answered(p, A, STORED, [A, B])
    expect(offers.owedTo(B)).toHaveLength(1)
    expect(offers.owedTo(A)).toHaveLength(0)
    offers.down(B, [A])
    expect(offers.owedTo(B)).toHaveLength(0)
    expect(offers.heldBytes).toBe(0)
  })

  test('of an answer that nobody has asked for nothing follows', () => {
    const offers = sentTo(A)
    expect(offers.answered(p, B, DELIVERED, [A, B])).toBeNull()
    expect(offers.answered('q' as PacketId, A, STORED, [A, B])).toBeUndefined()
    expect(offers.heldBytes).toBe(100)
  })
})

test('the next packet for a reader goes first to where it was met last', () => {
  const offers = sentTo(A)
  expect(offers.firstFor([reader], [A, B])).toBe(A)
  offers.answered(p, A, STORED, [A, B])
  offers.offeredTo(p, B)
  offers.answered(p, B, DELIVERED, [A, B])
  expect(offers.firstFor([reader], [A, B])).toBe(B)
  expect(offers.firstFor([reader], [A])).toBe(A)
  expect(offers.firstFor(['other' as MailboxId], [A, B])).toBe(A)
})

test('more than is held is sent once, and in doubt when its link falls', () => {
  const offers = sentTo(A, 150)
  offers.sent(offer('q'), A)
  expect(offers.heldBytes).toBe(100)
  expect(offers.answered('q' as PacketId, A, STORED, [A, B])).toBeUndefined()
  expect(offers.takeDoubt(A)).toBe(true)
})

test('whatever relays answer, and whenever links fall, each packet is told at most once and none is held for good', () => {
  const relays = [A, B, C]
  const happening = fc.record({
    what: fc.constantFrom('send', 'answer', 'down', 'up'),
    relay: fc.nat(2),
    packet: fc.nat(5),
    outcome: fc.constantFrom(DELIVERED, STORED, REFUSED),
  })
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 60 }), (happenings) => {
      const offers = new Offers(450)
      const live = new Set(relays)
      const inOrder = (): RelayId[] => relays.filter((relay) => live.has(relay))
      const at = new Map<PacketId, RelayId>()
      const told = new Map<PacketId, number>()
      const asked = new Map<PacketId, RelayId[]>()
      const act = (verdict: ReturnType<Offers['answered']>): void => {
        if (verdict === null || verdict === undefined) return
        const { id } = verdict.offer
        at.delete(id)
        if (verdict.tell !== null) told.set(id, (told.get(id) ?? 0) + 1)
        if (verdict.next === null) return
        offers.offeredTo(id, verdict.next)
        at.set(id, verdict.next)
        asked.get(id)?.push(verdict.next)
      }
      let number = 0
      for (const { what, relay: which, packet, outcome } of happenings) {
        const relay = relays[which]!
        if (what === 'send') {
          const id = `packet ${number++}` as PacketId
          const first = offers.firstFor([reader], inOrder())
          if (first === undefined) continue
          offers.sent({ ...offer(id), id }, first)
          if (offers.answered(id, 'nobody' as RelayId, DELIVERED, inOrder()) === undefined) continue
          at.set(id, first)
          asked.set(id, [first])
        } else if (what === 'answer') {
          const [id, where] = [...at][packet % Math.max(1, at.size)] ?? []
          if (id !== undefined && where !== undefined) act(offers.answered(id, where, outcome, inOrder()))
        } else if (what === 'down' && live.delete(relay)) {
          for (const verdict of offers.down(relay, inOrder())) act(verdict)
        } else live.add(relay)
        expect(offers.heldBytes).toBe(at.size * 100)
      }
      for (const [id, where] of at) act(offers.answered(id, where, DELIVERED, inOrder()))
      expect(offers.heldBytes).toBe(0)
      for (const count of told.values()) expect(count).toBe(1)
      for (const offered of asked.values()) expect(new Set(offered).size).toBe(offered.length)
    }),
  )
})
