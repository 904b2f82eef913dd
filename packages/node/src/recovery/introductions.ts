import type { NodeId } from '@sealmesh/protocol/ids'
import type { Mesh, MeshNode } from '@sealmesh/protocol/membership/mesh'
import { z } from 'zod'

/** Two heartbeats: a peer that knows us and is there has spoken. */
const SILENT_MS = 20_000
/** Whoever was never heard at all may not know that we were let in. */
const NEVER_HEARD_MS = 2_000
/** A mailbox keeps nothing for longer than four of these. */
const AGAIN_MS = 7 * 24 * 60 * 60_000
const REFUSED_PAUSE_MS = 5 * 60_000
/** What one member is sent in a day if it falls silent again and again: a long log goes seldom. */
const BYTES_PER_DAY = 16_777_216
const DAY_MS = 24 * 60 * 60_000
/** Named values of the store are small. */
const KEPT_MAX = 256

/** When each member was last sent the log, in ms since 1970. */
export const Introduced = z.record(z.string(), z.number())

/**
 * Which members are to be told by copies of the log who we are. A peer that does not know us can say nothing to us, not
 * even that: we came back by a recovery kit and it has not heard of it, or its disk lost the record that let us in. All
 * that can be seen from here is its silence, and a peer that is merely off is silent, too: so each silence is
 * answered once, as far as the log's length allows, and once a week (docs/spec/11-recovery.md §5).
 */
export class Introductions {
  readonly #node: NodeId
  readonly #at: Map<NodeId, number>
  readonly #pausedUntilMs = new Map<NodeId, number>()
  #liveSinceMs = Number.POSITIVE_INFINITY

  constructor(node: NodeId, introduced: z.infer<typeof Introduced>) {
    this.#node = node
    this.#at = new Map(Object.entries(introduced) as [NodeId, number][])
  }

  /** `forgot`: the relay may have lost what it kept for others. */
  live(nowMs: number, forgot: boolean): void {
    this.#liveSinceMs = nowMs
    this.#pausedUntilMs.clear()
    if (forgot) this.#at.clear()
  }

  down(): void {
    this.#liveSinceMs = Number.POSITIVE_INFINITY
  }

  /** `heard`: when each was last heard, null for never. `bytes`: how long the log is. */
  due(mesh: Mesh, heard: ReadonlyMap<NodeId, number | null>, nowMs: number, bytes: number): MeshNode[] {
    const apartMs = (bytes / BYTES_PER_DAY) * DAY_MS
    return [...mesh.nodes.values()].filter(({ id, revocations }) => {
      if (id === this.#node || revocations.length > 0) return false
      if (nowMs < (this.#pausedUntilMs.get(id) ?? 0)) return false
      const heardMs = heard.get(id) ?? null
      const silence = nowMs - Math.max(this.#liveSinceMs, heardMs ?? 0)
      if (silence < (heardMs === null ? NEVER_HEARD_MS : SILENT_MS)) return false
      const introducedMs = this.#at.get(id)
      if (introducedMs === undefined || nowMs - introducedMs > AGAIN_MS) return true
      return introducedMs < (heardMs ?? 0) && nowMs - introducedMs > apartMs
    })
  }

  introduced(node: NodeId, nowMs: number): void {
    this.#at.set(node, nowMs)
  }

  /** The relay did not take it, or there is no way to send it now. */
  refused(node: NodeId, nowMs: number): void {
    this.#at.delete(node)
    this.#pausedUntilMs.set(node, nowMs + REFUSED_PAUSE_MS)
  }

  /** To be kept across restarts, of those who are still members; of very many, the latest. */
  kept(mesh: Mesh): z.infer<typeof Introduced> {
    const members = [...this.#at].filter(([node]) => mesh.nodes.has(node))
    return Object.fromEntries(members.toSorted(([, a], [, b]) => b - a).slice(0, KEPT_MAX))
  }
}
