import type { DoorClient } from '@sealmesh/node/ipc/client'
import { endHousehold, startHousehold } from '../processes/household.ts'
import { shareLayers, untilInSync } from '../processes/pair.ts'

/** What a shadow drill costs the holder's writers: windows with drills and without, side by side. */

export interface Pair {
  readonly withoutMs: number
  readonly duringMs: number
  readonly drills: number
}

const FACTS = 2_000

/** Each pair is two windows after one another, now the one first and now the other. */
export async function pairsOf(count: number, windowMs: number): Promise<Pair[]> {
  const household = await startHousehold('drill-latency')
  const { home, office } = household
  try {
    const [writer, loader, driller] = [await home.door(), await home.door(), await office.door()]
    await writer.call('agents.add', { name: 'claude', standby: ['office'] })
    await shareLayers(home, 'claude', ['semantic', 'session'], 'standby')
    for (let from = 0; from < FACTS; from += 100)
      await Promise.all(Array.from({ length: 100 }, (_, i) => set(loader, `fact-${from + i}`)))
    await untilInSync(home, office)
    await window(writer, windowMs) // Warm.
    const pairs: Pair[] = []
    for (let i = 0; i < count; i++) {
      const isFirst = i % 2 === 0
      const early = isFirst ? await window(writer, windowMs) : undefined
      const during = await windowWithDrills(writer, driller, windowMs)
      const withoutMs = early ?? (await window(writer, windowMs))
      pairs.push({ withoutMs, ...during })
    }
    return pairs
  } finally {
    await endHousehold(household)
  }
}

export const ratioOf = (pairs: readonly Pair[]): number =>
  median(pairs.map(({ withoutMs, duringMs }) => duringMs / withoutMs))

/** The median of one write after another. */
async function window(writer: DoorClient, windowMs: number): Promise<number> {
  const took: number[] = []
  const endMs = performance.now() + windowMs
  for (let i = 0; performance.now() < endMs; i++) {
    const fromMs = performance.now()
    await set(writer, `live-${i % 50}`)
    took.push(performance.now() - fromMs)
  }
  return median(took)
}

/** Drills follow one another as long as the window lasts, so that nearly all writes fall into one. */
async function windowWithDrills(writer: DoorClient, driller: DoorClient, windowMs: number) {
  let isOver = false
  let drills = 0
  const drilling = (async () => {
    while (!isOver) {
      const { passed, failed } = await driller.call('drill.run', { agent: 'claude' })
      if (!passed && failed.some(({ name }) => name !== 'live writes'))
        throw new Error(`a drill failed: ${failed.map(({ name }) => name).join(', ')}`)
      drills += 1
    }
  })()
  const duringMs = await window(writer, windowMs)
  isOver = true
  await drilling
  return { duringMs, drills }
}

const set = (door: DoorClient, id: string) =>
  door.call('set', { umr: `claude.semantic.${id}`, value: JSON.stringify(`${id} ${'x'.repeat(100)}`) })

const median = (all: readonly number[]): number => all.toSorted((a, b) => a - b)[all.length >> 1] ?? Number.NaN
