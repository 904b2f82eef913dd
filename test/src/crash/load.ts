import type { NodeProcess } from '../processes/node.ts'
import type { DoorClient } from '@sealmesh/node/ipc/client'

/**
 * Agents at work: several connections that always have writes in flight, each of its own key and value, and now and
 * then of a key that is written again and again. It remembers what was acknowledged, which is a promise, and what was
 * sent without an answer, of which either outcome is right.
 */

const CONNECTIONS = 2
const IN_FLIGHT = 8
const HOT_KEYS = 4
const HOT_EVERY = 5

export class Load {
  readonly prefix: string
  /** UMR to value, of keys that are written once. */
  readonly acknowledged = new Map<string, string>()
  readonly unanswered = new Map<string, string>()
  /** UMR to the newest number acknowledged, of keys that are written again and again. */
  readonly hot = new Map<string, number>()
  readonly #text: (number: number) => string
  #next = 0
  #hotSent = 0
  #wake: () => void = () => {}

  constructor(prefix: string, text: (number: number) => string = (number) => `v${number}`) {
    this.prefix = prefix
    this.#text = text
  }

  get acknowledgements(): number {
    return this.acknowledged.size + this.#hotAcknowledged
  }
  #hotAcknowledged = 0

  /** Writes until the connections break, which resolves; a refusal rejects. */
  async run(node: NodeProcess): Promise<void> {
    const doors = await Promise.all(Array.from({ length: CONNECTIONS }, async () => await node.door()))
    let ended = false
    for (const door of doors) void door.closed.then(() => (ended = true))
    const lanes = doors.flatMap((door) =>
      Array.from({ length: IN_FLIGHT }, async () => await this.#lane(door, () => ended)),
    )
    await Promise.all(lanes)
  }

  async #lane(door: DoorClient, ended: () => boolean): Promise<void> {
    while (!ended()) {
      const number = this.#next++
      const hot = number % HOT_EVERY === 0
      const umr = hot ? `${this.prefix}hot-${(number / HOT_EVERY) % HOT_KEYS}` : `${this.prefix}k-${number}`
      const value = JSON.stringify(hot ? this.#hotSent++ : this.#text(number))
      if (!hot) this.unanswered.set(umr, value)
      try {
        await door.call('set', { umr, value })
      } catch (error) {
        if (isBroken(error)) return
        throw error
      }
      if (hot) {
        this.#hotAcknowledged++
        this.hot.set(umr, Math.max(this.hot.get(umr) ?? -1, Number(value)))
      } else {
        this.unanswered.delete(umr)
        this.acknowledged.set(umr, value)
      }
      this.#wake()
    }
  }

  /** Resolves at the given number of acknowledgements. */
  async reached(acknowledgements: number): Promise<void> {
    while (this.acknowledgements < acknowledgements)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
  }
}

/** The connection ended before the answer came: what a kill looks like from outside. */
const isBroken = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'NODE_NOT_RUNNING'

/** What a node holds under a prefix, read through its door. */
export async function readAll(node: NodeProcess, prefix: string): Promise<Map<string, string>> {
  const door = await node.door()
  try {
    const items = await listAll(door, prefix)
    const held = new Map<string, string>()
    // In slices: the door bounds what one connection may have in flight.
    for (let at = 0; at < items.length; at += READS_AT_ONCE)
      await Promise.all(
        items.slice(at, at + READS_AT_ONCE).map(async ({ umr, conflicts }) => {
          const { item } = await door.call('get', { umr })
          if (item?.type !== 'register') throw new Error(`${umr} is listed and not there`)
          if (conflicts > 0) throw new Error(`${umr} has a conflict though one agent wrote it`)
          held.set(umr, item.value)
        }),
      )
    return held
  } finally {
    await door.close()
  }
}

/** A listing has an end: past it, one for each character that may come next in a key of ours. */
async function listAll(door: DoorClient, prefix: string): Promise<{ umr: string; conflicts: number }[]> {
  const { items, truncated } = await door.call('ls', { prefix, limit: 100_000 })
  if (!truncated) return items
  const parts: { umr: string; conflicts: number }[] = []
  for (const next of '0123456789abcdefghijklmnopqrstuvwxyz-_.') parts.push(...(await listAll(door, prefix + next)))
  return parts
}

const READS_AT_ONCE = 100

/** Every broken promise, in words: nothing acknowledged may be missing or older, nothing may be there that nobody sent. */
export function brokenPromises(load: Load, held: ReadonlyMap<string, string>): string[] {
  const broken: string[] = []
  for (const [umr, value] of load.acknowledged) {
    const there = held.get(umr)
    if (there !== value) broken.push(`${umr} was acknowledged as ${value} and is ${there ?? 'missing'}`)
  }
  // Writes of one key from several lanes may overtake one another, so of a hot key something as new must be there.
  for (const [umr, number] of load.hot) {
    const there = held.get(umr)
    if (there === undefined || Number(there) < number - HOT_OVERTAKING)
      broken.push(`${umr} fell back from ${number} to ${there}`)
  }
  for (const [umr, value] of held) {
    if (load.acknowledged.has(umr) || load.hot.has(umr) || umr.includes('.hot-')) continue
    if (load.unanswered.get(umr) !== value) broken.push(`${umr} is ${value}, which nobody wrote`)
  }
  return broken
}

const HOT_OVERTAKING = CONNECTIONS * IN_FLIGHT

/** Counts how often a node says that each write became visible: twice is a duplicate. */
export async function countVisible(node: NodeProcess, prefix: string): Promise<ReadonlyMap<string, number>> {
  const door = await node.door()
  const seen = new Map<string, number>()
  door.onNotification(({ umr, type, value }) => {
    if (type !== 'text') seen.set(`${umr} ${value}`, (seen.get(`${umr} ${value}`) ?? 0) + 1)
  })
  await door.call('watch', { prefix })
  return seen
}
