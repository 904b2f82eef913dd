import { expect } from 'vitest'
import type { RunningNode } from '@sealmesh/node/main'
import { until } from '../processes/wait.ts'
import { call, PRIVATE, read, type Truth } from './scene.ts'

/** How a damaged home is judged: nothing wrong is read in silence, and all that somebody has comes back. */
export const HEALED_MS = 30_000

export interface Tally {
  same: number
  refused: number
  /** Older than the truth, or missing, while the node says that it was rolled back. */
  announced: number
}

export async function compare(node: RunningNode, truth: Truth): Promise<Tally> {
  const tally: Tally = { same: 0, refused: 0, announced: 0 }
  for (const [umr, expected] of truth) {
    const got = await read(node, umr)
    if ('refused' in got) {
      expect(got.refused, umr).toBe('STORE_DAMAGED')
      tally.refused += 1
    } else if (got.value === expected) tally.same += 1
    else {
      const { warnings } = await call(node, 'status', {})
      const what = `${umr} reads ${JSON.stringify(got.value)} and not ${JSON.stringify(expected)}`
      expect(
        warnings.map(({ code }) => code).filter((code) => code === 'HOME_ROLLED_BACK' || code === 'STORE_DAMAGED'),
        what,
      ).not.toEqual([])
      tally.announced += 1
    }
  }
  return tally
}

export async function scrubbed(node: RunningNode): Promise<void> {
  await call(node, 'scrub.start', {})
  await until('the scrub has ended', async () => !(await call(node, 'scrub.status', {})).running)
}

/** All that a peer has reads as it should; what nobody has is refused or was named; a second scrub finds nothing new. */
export async function healed(node: RunningNode, truth: Truth, total: Record<string, number>): Promise<void> {
  await until(
    'everything that the office has is whole again',
    async () => {
      for (const [umr, expected] of truth) {
        if (isPrivate(umr)) continue
        const got = await read(node, umr)
        if (!('value' in got) || got.value !== expected) throw new Error(`${umr}: ${JSON.stringify(got)}`)
      }
      return true
    },
    HEALED_MS,
  )
  await until(
    'nothing is asked for any more',
    async () => (await call(node, 'scrub.status', {})).damaged.every(({ state }) => state !== 'asked'),
    HEALED_MS,
  )
  const first = await call(node, 'scrub.status', {})
  const told = first.events.length + first.findings.length
  for (const [umr, expected] of truth) {
    if (!isPrivate(umr)) continue
    const got = await read(node, umr)
    if ('value' in got && got.value === expected) continue
    // Lost with its only disk: refused, or missing from a home that says what happened to it.
    if ('value' in got) expect(told, `${umr} reads ${JSON.stringify(got.value)} in silence`).toBeGreaterThan(0)
    total['lost'] = (total['lost'] ?? 0) + 1
  }
  await scrubbed(node)
  const second = await call(node, 'scrub.status', {})
  expect(second.findings.filter(({ state }) => state !== 'lost')).toEqual([])
  for (const { layer, state } of second.damaged)
    expect([layer, state]).toEqual([expect.stringMatching(/procedural|diary/), 'lost'])
}

const isPrivate = (umr: string): boolean => umr.startsWith(`home.${PRIVATE}.`) || umr.startsWith('home.diary.')
