import { padme } from '@sealmesh/protocol/envelope/padding'
import { CONTROL_PADDING_BYTES } from '@sealmesh/protocol/limits'
import { expect, test } from 'vitest'
import { measure } from './measure.ts'

/** Header with one recipient, nonce and tag. */
const AROUND_BYTES = 24 + 112 + 24 + 16
const CONTROL = AROUND_BYTES + CONTROL_PADDING_BYTES

test('T-curious-2: on the wire heads, receipts, takeovers and leases have one size, and everything has a padded one', async () => {
  const seen = await measure()
  const of = (what: string): number[] =>
    seen.find((each) => each.what.includes(what))?.sizes.map(([bytes]) => bytes) ?? []
  for (const { what, sizes } of seen) {
    expect(sizes.length, what).toBeGreaterThan(0)
    for (const [bytes] of sizes) expect(padme(bytes - AROUND_BYTES), what).toBe(bytes - AROUND_BYTES)
  }
  expect(of('heartbeats')).toEqual([CONTROL])
  expect(of('takeover')).toEqual([CONTROL])
  expect(of('a lease')).toEqual([CONTROL])
  expect(of('standby and sharing')).toEqual([CONTROL])
  // The write, and its receipt like a heartbeat.
  expect(of('20 characters').filter((bytes) => bytes !== CONTROL).length).toBe(1)
  expect(of('20 characters')).toContain(CONTROL)
})
