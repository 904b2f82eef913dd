import { padme } from '@sealmesh/protocol/envelope/padding'
import { ReplayWindow } from '@sealmesh/protocol/envelope/replay-window'
import { PADDING_FLOOR_BYTES, PAYLOAD_BYTES_MAX, REPLAY_WINDOW_PACKETS } from '@sealmesh/protocol/limits'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

describe('the replay window', () => {
  test('T-relay-4: is what a set of all sequences would say, as far back as the window goes', () => {
    const jump = fc.oneof(fc.integer({ min: -40, max: 40 }), fc.integer({ min: -3_000, max: 3_000 }))
    fc.assert(
      fc.property(fc.array(jump, { maxLength: 400 }), (jumps) => {
        const window = new ReplayWindow()
        const seen = new Set<number>()
        let [at, highest] = [1, 0]
        for (const each of jumps) {
          at = Math.max(1, at + each)
          const expected = at <= highest - REPLAY_WINDOW_PACKETS ? 'too-old' : seen.has(at) ? 'seen' : 'new'
          expect(window.accept(at)).toBe(expected)
          seen.add(at)
          highest = Math.max(highest, at)
        }
      }),
    )
  })

  test('forgets, when it moves on, what stood in the places that it takes', () => {
    const window = new ReplayWindow()
    for (let sequence = 1; sequence <= REPLAY_WINDOW_PACKETS; sequence++) window.accept(sequence)
    expect(window.accept(REPLAY_WINDOW_PACKETS + 100)).toBe('new')
    for (let skipped = 1; skipped < 100; skipped++) expect(window.accept(REPLAY_WINDOW_PACKETS + skipped)).toBe('new')
    expect(window.accept(REPLAY_WINDOW_PACKETS + 50)).toBe('seen')
    expect(window.accept(200)).toBe('seen')
  })

  test('T-relay-4: takes a jump to the largest sequence at once, and then nothing older', () => {
    const window = new ReplayWindow()
    expect(window.accept(1)).toBe('new')
    expect(window.accept(Number.MAX_SAFE_INTEGER)).toBe('new')
    expect(window.accept(Number.MAX_SAFE_INTEGER - 1)).toBe('new')
    expect(window.accept(1)).toBe('too-old')
  })
})

describe('padding', () => {
  test('has a floor, wastes at most 6.3 % above it, and never shrinks', () => {
    let previous = 0
    const sizes = new Set<number>()
    for (let bytes = 0; bytes <= PAYLOAD_BYTES_MAX; bytes++) {
      const padded = padme(bytes)
      if (padded < bytes || padded < previous || padded < PADDING_FLOOR_BYTES) throw new Error(`${bytes} → ${padded}`)
      if (bytes > PADDING_FLOOR_BYTES && padded > bytes * 1.063) throw new Error(`${bytes} → ${padded}`)
      if (padme(padded) !== padded) throw new Error(`${padded} is not a padded size`)
      if (padded <= 65_536) sizes.add(padded)
      previous = padded
    }
    expect(sizes.size).toBe(113)
  })
})
