import { z } from 'zod'
import type { Meta } from './meta.ts'

/**
 * What has happened to this home as a whole, durably, so that `status` still says it after a restart:
 * - rolled-back: a block that this node had signed came back from a peer and was not here. The home was restored from
 *   an older copy, or a copy of it has written.
 * - copied: another process uses the same keys.
 */
const Kind = z.enum(['rolled-back', 'copied'])
export type HomeFactKind = z.infer<typeof Kind>

const Fact = z.object({
  kind: Kind,
  firstAtMs: z.number(),
  lastAtMs: z.number(),
  /** How often it was seen. */
  times: z.number().int(),
})
export type HomeFact = z.infer<typeof Fact>

const Facts = z.array(Fact)
const HOME_FACTS = 'home-facts'
/** Each block of a long absence says the same: the first is written at once, later ones at most this often. */
const WRITE_APART_MS = 5_000

export class HomeFacts {
  readonly #meta: Meta
  readonly #now: () => number
  #facts: HomeFact[]
  #writtenAtMs = Number.NEGATIVE_INFINITY

  private constructor(meta: Meta, now: () => number, facts: HomeFact[]) {
    this.#meta = meta
    this.#now = now
    this.#facts = facts
  }

  static async load(meta: Meta, now: () => number): Promise<HomeFacts> {
    return new HomeFacts(meta, now, (await meta.read(HOME_FACTS, Facts)) ?? [])
  }

  all(): readonly HomeFact[] {
    return this.#facts
  }

  /** Whether this is news: the first of its kind within a day. */
  async note(kind: HomeFactKind): Promise<boolean> {
    const nowMs = this.#now()
    const known = this.#facts.find((fact) => fact.kind === kind)
    const isNews = known === undefined || nowMs - known.lastAtMs > DAY_MS
    const next: HomeFact = {
      kind,
      firstAtMs: isNews ? nowMs : known.firstAtMs,
      lastAtMs: nowMs,
      times: isNews ? 1 : known.times + 1,
    }
    this.#facts = [...this.#facts.filter((fact) => fact.kind !== kind), next]
    if (isNews || nowMs - this.#writtenAtMs > WRITE_APART_MS) {
      this.#writtenAtMs = nowMs
      await this.#meta.write(HOME_FACTS, Facts, this.#facts)
    }
    return isNews
  }
}

const DAY_MS = 24 * 60 * 60_000
