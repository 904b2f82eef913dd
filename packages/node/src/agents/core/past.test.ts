import fc from 'fast-check'
import { expect, test } from 'vitest'
import { letterOf } from './letter.ts'
import { Past } from './past.ts'

const message = (id: string, payload: unknown, of: { from?: string; to?: string; type?: string } = {}) => ({
  version: 1 as const,
  id,
  from: of.from ?? 'alice@home',
  to: of.to ?? 'bob',
  type: of.type ?? 'text',
  priority: 1 as const,
  correlation: null,
  sentAt: '2026-11-20T00:00:00.000Z',
  expiresAt: null,
  hops: 0,
  parents: ['x', 'y'],
  durable: false,
  payload,
})
const textOf = ({ payload, ...head }: ReturnType<typeof message>): string =>
  letterOf(head, JSON.stringify(payload)).text

test('a letter as text is the message, whatever is in its payload', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const payload: unknown = JSON.parse(JSON.stringify(value))
      expect(JSON.parse(textOf(message('m', payload)))).toEqual(message('m', payload))
    }),
  )
})

test('the past gives back an unbroken row of the latest, whole, whatever their sizes, within its bounds', () => {
  const size = fc.oneof({ weight: 5, arbitrary: fc.nat(2_000) }, { weight: 1, arbitrary: fc.nat(200_000) })
  fc.assert(
    fc.property(fc.array(size, { maxLength: 60 }), fc.constantFrom('x', 'é', '日'), (sizes, character) => {
      const past = new Past()
      const all = sizes.map((length, at) => message(`m${at}`, character.repeat(length)))
      for (const each of all) past.add(textOf(each))
      const found = past.find({ limit: 1_000 })
      const isLong = (each: (typeof all)[number]) => new TextEncoder().encode(textOf(each)).length > 524_288
      const fits = all.slice(all.findLastIndex(isLong) + 1)
      expect(found.map(({ id }) => id)).toEqual(
        fits
          .toReversed()
          .slice(0, found.length)
          .map(({ id }) => id),
      )
      expect(found).toEqual(fits.toReversed().slice(0, found.length))
      // All of them where half of the room is enough.
      const bytes = fits.reduce((sum, each) => sum + new TextEncoder().encode(textOf(each)).length, 0)
      if (bytes < 262_144) expect(found).toHaveLength(fits.length)
      else if (fits.length > 0) expect(found.length).toBeGreaterThan(0)
    }),
    { numRuns: 60 },
  )
})

test('no more than 512 are kept, and a filter takes what it names', () => {
  const past = new Past()
  for (let at = 0; at < 2_000; at++) past.add(textOf(message(`m${at}`, at, { type: at % 2 === 0 ? 'text' : 'vote' })))
  expect(past.find({ limit: 1_000 })).toHaveLength(512)
  expect(past.find({ type: 'vote', limit: 2 }).map(({ id }) => id)).toEqual(['m1999', 'm1997'])
  expect(past.find({ from: 'alice', limit: 1 })).toHaveLength(1)
  expect(past.find({ from: 'ali', limit: 1 })).toHaveLength(0)
  expect(past.find({ to: 'carol', limit: 1 })).toHaveLength(0)
})

test('a ring that holds as many as are kept grows no more, and begins a lap where it is', () => {
  const size = fc.oneof({ weight: 1_000, arbitrary: fc.nat(60) }, { weight: 1, arbitrary: fc.nat(100_000) })
  fc.assert(
    fc.property(fc.array(size, { minLength: 600, maxLength: 1_400, size: 'max' }), (sizes) => {
      const past = new Past()
      const texts = sizes.map((length, at) => textOf(message(`m${at}`, 'x'.repeat(length))))
      for (const text of texts) past.add(text)
      const found = past.find({ limit: 1_000 }).map(({ id }) => id)
      expect(found).toEqual(
        sizes
          .map((_, at) => `m${at}`)
          .slice(-found.length)
          .toReversed(),
      )
      if (Math.max(...sizes) > 60) return
      expect(found).toHaveLength(512)
      const bytes = texts.slice(-512).reduce((sum, each) => sum + each.length, 0)
      expect(past.bytes).toBeLessThan(2 * bytes)
    }),
    { numRuns: 60 },
  )
})
