import type { NodeId } from '@sealmesh/protocol/ids'
import { z } from 'zod'
import type { Meta } from '../store/meta.ts'

const Heard = z.record(z.string(), z.number())
const LAST_HEARD = 'last-heard'

/**
 * When each peer was last heard, across restarts: `away since Tuesday` and `never heard` are different news. Written
 * now and then, so a crash loses a minute of it.
 */
export class LastHeard {
  readonly #meta: Meta
  #heard: Record<string, number>

  private constructor(meta: Meta, heard: Record<string, number>) {
    this.#meta = meta
    this.#heard = heard
  }

  static async load(meta: Meta): Promise<LastHeard> {
    return new LastHeard(meta, (await meta.read(LAST_HEARD, Heard)) ?? {})
  }

  of(node: NodeId): number | null {
    return this.#heard[node] ?? null
  }

  /** `heard` names every member, so that removed machines are forgotten. Durable when it resolves. */
  async note(heard: readonly { node: NodeId; atMs: number | null }[]): Promise<void> {
    const next: Record<string, number> = {}
    for (const { node, atMs } of heard) {
      const known = atMs ?? this.#heard[node]
      if (known !== undefined) next[node] = Math.round(known)
    }
    if (sameTimes(next, this.#heard)) return
    this.#heard = next
    await this.#meta.write(LAST_HEARD, Heard, next)
  }
}

const sameTimes = (a: Record<string, number>, b: Record<string, number>): boolean =>
  Object.keys(a).length === Object.keys(b).length && Object.keys(a).every((node) => a[node] === b[node])
