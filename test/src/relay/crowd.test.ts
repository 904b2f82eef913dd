import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { beforeAll, expect, test } from 'vitest'
import { SimulatedRelay } from './simulated-relay.ts'

let sodium: Sodium

beforeAll(async () => {
  sodium = await loadSodium()
})

/** Each from an address of its own. */
function crowd(size: number) {
  const relay = new SimulatedRelay(sodium)
  const clients = Array.from({ length: size }, (_, n) => relay.connect(`192.0.${n >> 8}.${n & 255}`))
  return { relay, clients }
}

test('a relay that stops tells thousands to be back within seconds, and a few not all at once', () => {
  for (const [size, fromMs, toMs] of [
    [5_000, 4_000, 8_000],
    [50, 300, 1_000],
  ] as const) {
    const { relay, clients } = crowd(size)
    relay.feed({ type: 'stop' })
    const waits = clients.map((client) => client.frame('goodbye')?.retryAfterMs ?? 0)
    const [first, last] = [Math.min(...waits), Math.max(...waits)]
    expect(first).toBeGreaterThan(0)
    expect(last - first).toBeGreaterThan(fromMs)
    expect(last - first).toBeLessThan(toMs)
    // Spread evenly: no moment is that of many.
    const atOnce = new Map<number, number>()
    for (const wait of waits) atOnce.set(wait, (atOnce.get(wait) ?? 0) + 1)
    expect(Math.max(...atOnce.values())).toBeLessThanOrEqual(2)
  }
})

test('a thousand strangers whose time is over are sent away a few at a time, all of them', () => {
  const { relay, clients } = crowd(1_000)
  relay.nowMs += 5_000
  const gone = (): number => clients.filter(({ goodbye }) => goodbye === 'HELLO_TIMEOUT').length
  for (let ticks = 0; gone() < 1_000; ticks++) {
    const before = gone()
    relay.feed({ type: 'tick' })
    expect(gone() - before).toBeGreaterThan(0)
    expect(gone() - before).toBeLessThanOrEqual(16)
    expect(ticks).toBeLessThan(1_000)
  }
})
