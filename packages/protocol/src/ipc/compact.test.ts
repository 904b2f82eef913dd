import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { agentMethods } from './agent-methods.ts'
import {
  decodeDelivery,
  decodeSend,
  decodeSent,
  encodeDelivery,
  encodeDeliveryStart,
  encodeSend,
  encodeSent,
  isSoundSend,
  type MessageHead,
  type SendHead,
} from './compact.ts'

const hex = (bytes: string): string =>
  Array.from(bytes, (byte) => byte.charCodeAt(0).toString(16).padStart(2, '0')).join('')

const name = fc.stringMatching(/^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$/)
const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)
const address = fc.oneof(
  name,
  fc.tuple(name, name).map(([agent, node]) => `${agent}@${node}`),
)
const u32 = fc.integer({ min: 1, max: 2 ** 32 - 1 })
const priority = fc.constantFrom(0 as const, 1 as const, 2 as const, 3 as const)
const common = {
  type: name,
  priority,
  correlation: fc.option(id),
  parents: fc.array(id, { maxLength: 16 }),
  hops: fc.nat(32),
  durable: fc.boolean(),
}
const send: fc.Arbitrary<SendHead> = fc.record({
  as: u32,
  request: fc.oneof(fc.constant(0), u32),
  to: fc.oneof(
    address,
    fc.constant('*'),
    name.map((topic) => `#${topic}`),
  ),
  id: fc.option(id, { nil: undefined }),
  expiresMs: fc.option(u32, { nil: undefined }),
  ...common,
})
const instant = fc.date({ min: new Date(0), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true })
const iso = instant.map((date) => date.toISOString())
const message: fc.Arbitrary<MessageHead> = fc.record({
  version: fc.constant(1 as const),
  id,
  from: address,
  to: address,
  sentAt: iso,
  expiresAt: fc.option(iso),
  ...common,
})

describe('heads of compact frames', () => {
  test('golden bytes', () => {
    const asked: SendHead = {
      as: 7,
      request: 258,
      to: 'bob',
      type: 'text',
      priority: 2,
      id: 'm1',
      correlation: null,
      parents: ['p'],
      hops: 3,
      expiresMs: 1_000,
      durable: true,
    }
    expect(hex(encodeSend(asked))).toBe(
      `00000007${'00000102'}${'000003e8'}${'020103'}${'05'}03${'626f62'}04${'74657874'}02${'6d31'}00${'01'}70`,
    )
    const told: MessageHead = {
      version: 1,
      id: 'm1',
      from: 'a@h',
      to: '*',
      type: 'text',
      priority: 3,
      correlation: 'c',
      sentAt: '2026-11-20T14:03:05.120Z',
      expiresAt: null,
      hops: 0,
      parents: [],
      durable: false,
    }
    const sentAt = hex('2026-11-20T14:03:05.120Z')
    expect(hex(encodeDeliveryStart(7, 2 ** 32 + 5) + encodeDelivery(told))).toBe(
      `00000007${'0000000100000005'}${'01030000'}${'07'}02${'6d31'}03${'614068'}01${'2a'}04${'74657874'}01${'63'}18${sentAt}00`,
    )
    expect(hex(encodeSent({ request: 258, id: 'm1', delivered: 1, waiting: 2, refused: 3 }))).toBe(
      `00000102${'00000001'}${'00000002'}${'00000003'}6d31`,
    )
  })

  test('what is said is read again, and is all single bytes', () => {
    fc.assert(
      fc.property(send, (head) => {
        expect(isSoundSend(head)).toBe(true)
        expect(decodeSend(encodeSend(head))).toEqual(head)
        expect(encodeSend(head)).toMatch(/^[\0-\xff]*$/)
      }),
    )
    fc.assert(
      fc.property(message, u32, fc.nat(2 ** 40), (head, as, place) => {
        const read = decodeDelivery(encodeDeliveryStart(as, place) + encodeDelivery(head), 5)
        expect(read).toEqual({ as, place, message: { ...head, payload: 5 } })
      }),
    )
  })

  test('a frame is sound exactly where a line would be taken', () => {
    const bent = fc.oneof(fc.constantFrom('', '*', '#', '#x', 'a@', 'a@b@c', 'A', 'ü', 'a b'), name, fc.string())
    const number = fc.oneof(fc.constantFrom(-1, 0, 1, 4, 32, 33, 1.5), u32)
    const any = fc.record({
      as: number,
      request: fc.constant(1),
      to: bent,
      type: bent,
      priority: number as fc.Arbitrary<SendHead['priority']>,
      id: fc.option(bent, { nil: undefined }),
      correlation: fc.option(bent),
      parents: fc.array(bent, { maxLength: 17 }),
      hops: number,
      expiresMs: fc.option(number, { nil: undefined }),
      durable: fc.boolean(),
    })
    const isTaken = (head: SendHead) => agentMethods.send.params.safeParse({ ...head, payload: null }).success
    const check = (head: SendHead): void => {
      expect(isSoundSend(head)).toBe(isTaken(head))
    }
    fc.assert(fc.property(any, check), { numRuns: 300 })
    // One field at a time, so that the others do not hide what is wrong with it.
    fc.assert(
      fc.property(
        send,
        any,
        fc.constantFrom(...(Object.keys(common) as (keyof typeof common)[]), 'to', 'as'),
        (a, b, key) => check({ ...a, [key]: b[key as keyof SendHead] }),
      ),
      { numRuns: 500 },
    )
  })

  test('a head that is cut or has more at its end is none', () => {
    fc.assert(
      fc.property(send, message, fc.nat(200), (asked, told, cut) => {
        const [first, second] = [encodeSend(asked), encodeDeliveryStart(1, 1) + encodeDelivery(told)]
        expect(decodeSend(first.slice(0, Math.max(0, first.length - 1 - cut)))).toBeUndefined()
        expect(decodeDelivery(second.slice(0, Math.max(0, second.length - 1 - cut)), 1)).toBeUndefined()
        expect(decodeSend(`${first}x`)).toBeUndefined()
        expect(decodeDelivery(`${second}x`, 1)).toBeUndefined()
      }),
    )
    expect(decodeSent('\0'.repeat(15))).toBeUndefined()
    expect(decodeSent(`${'\0'.repeat(16)}a b`)).toBeUndefined()
  })
})
