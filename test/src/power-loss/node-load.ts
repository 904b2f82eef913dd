import { createHash } from 'node:crypto'
import type { DoorClient } from '@sealmesh/node/ipc/client'
import type { Level } from '@sealmesh/protocol/failover/levels'
import type { NodeProcess } from '../processes/node.ts'

/** Writers at work on one node until it dies: what it acknowledged, and how far each write had come by its own word. */

const LOCAL_LANES = 16
const MANY_LANES = 2
const MANY = 20
const LEVEL_LANES = 4
const ASKS_AT_ONCE = 100
const REACHED_MS = 15_000

export interface Promised {
  readonly value: string
  readonly level: Level
}

export class NodeLoad {
  readonly #prefix: string
  readonly promised = new Map<string, Promised>()
  #next = 0
  #beyond = 0
  #wake: () => void = () => undefined

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  /** Writes until the connections break. */
  async run(node: NodeProcess, levels: readonly Level[]): Promise<void> {
    const [one, many] = [await node.door(), await node.door()]
    let ended = false
    for (const door of [one, many]) void door.closed.then(() => (ended = true))
    const lane = async (write: () => Promise<void>): Promise<void> => {
      while (!ended)
        try {
          await write()
        } catch (error) {
          if (!isBroken(error)) throw error
          return
        }
    }
    const lanes = [
      ...Array.from({ length: LOCAL_LANES }, () => lane(() => this.#one(one, undefined))),
      ...Array.from({ length: MANY_LANES }, () => lane(() => this.#many(many))),
      ...levels.flatMap((level) => Array.from({ length: LEVEL_LANES }, () => lane(() => this.#one(many, level)))),
    ]
    await Promise.all(lanes)
  }

  /** So many writes, and so many of them beyond this disk; a standby that is away keeps nobody for ever. */
  async reached(count: number, beyond: number): Promise<void> {
    const giveUpAtMs = performance.now() + REACHED_MS
    while ((this.promised.size < count || this.#beyond < beyond) && performance.now() < giveUpAtMs)
      await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  async #one(door: DoorClient, wait: Level | undefined): Promise<void> {
    const [umr, value] = this.#write()
    const { acknowledged } = await door.call('set', { umr, value, ...(wait === undefined ? {} : { wait }) })
    this.#keep(umr, value, acknowledged?.level ?? 'local')
  }

  async #many(door: DoorClient): Promise<void> {
    const writes = Array.from({ length: MANY }, () => this.#write())
    await door.call('set.many', { writes: writes.map(([umr, value]) => ({ umr, value })) })
    for (const [umr, value] of writes) this.#keep(umr, value, 'local')
  }

  /** Of many lengths, and each of its own: a part of one, or one in place of another, does not look right. */
  #write(): readonly [umr: string, value: string] {
    const number = this.#next++
    const digest = createHash('sha256').update(`${this.#prefix}${number}`).digest('hex')
    return [`${this.#prefix}${number}`, JSON.stringify(digest.repeat(1 + (number % 7)))]
  }

  #keep(umr: string, value: string, level: Level): void {
    this.promised.set(umr, { value, level })
    if (level !== 'local') this.#beyond += 1
    this.#wake()
  }
}

/** What a node has of these, read through its door. */
export async function held(node: NodeProcess, umrs: readonly string[]): Promise<Map<string, string>> {
  const there = new Map<string, string>()
  const door = await node.door()
  try {
    for (let at = 0; at < umrs.length; at += ASKS_AT_ONCE)
      await Promise.all(
        umrs.slice(at, at + ASKS_AT_ONCE).map(async (umr) => {
          const { item } = await door.call('get', { umr })
          if (item?.type === 'register') there.set(umr, item.value)
        }),
      )
  } finally {
    await door.close()
  }
  return there
}

const isBroken = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'NODE_NOT_RUNNING' || error.code === 'CORE_BUSY')
