import { z } from 'zod'
import type { Meta } from '../store/meta.ts'

/** Lines of evidence and events that are kept: enough to see what happened, little enough to read. */
const EVIDENCE_MAX = 8
const EVENTS_MAX = 64
/** A copy that has been silent so long is taken to be stopped. */
const COPY_QUIET_MS = 10 * 60_000
/** Long enough to be seen by who looks in once a week. */
const LOST_SHOWN_MS = 7 * 24 * 60 * 60_000
/** Facts are written at most so often while evidence pours in. */
const WRITE_EVERY_MS = 1_000

const Fact = z.object({
  sinceMs: z.number(),
  lastMs: z.number(),
  /** In words of ours: ids and counts, nothing that a peer chose. */
  evidence: z.array(z.string()),
})
export type Fact = z.infer<typeof Fact>

const Facts = z.object({
  /** This home holds less than it once did, and others may know more of what it wrote than it does. */
  rolledBack: Fact.nullable(),
  /** Another process uses the keys of this home. */
  copied: Fact.nullable(),
  /** Something that only this machine had was damaged: the diary. Shown for a week. */
  lost: Fact.nullable(),
  /** What was damaged and what became of it, the newest last. */
  events: z.array(z.object({ atMs: z.number(), what: z.string() })),
})
export type Facts = z.infer<typeof Facts>

const NAME = 'home-facts'
const NONE: Facts = { rolledBack: null, copied: null, lost: null, events: [] }

/**
 * Whether this home can be believed: durable, since a flag that a restart clears is none (DESIGN.md §11, rule 7).
 * `rolledBack` ends only when every peer has been heard and nobody knows more of our own blocks than we do; `copied`
 * when the copy has been silent for a while.
 */
export class HomeHealth {
  readonly #meta: Meta
  readonly #now: () => number
  readonly #failed: (error: unknown) => void
  /** For whoever tells what happens. */
  onNews: (type: 'scrub' | 'rolled-back' | 'copied', what: string) => void = () => undefined
  #facts: Facts
  #writing: Promise<void> | undefined
  #dirty = false
  #writtenAtMs = 0

  private constructor(meta: Meta, facts: Facts, now: () => number, failed: (error: unknown) => void) {
    this.#meta = meta
    this.#facts = facts
    this.#now = now
    this.#failed = failed
  }

  static async load(meta: Meta, now: () => number, failed: (error: unknown) => void): Promise<HomeHealth> {
    // Facts that are damaged themselves are one more reason to look, and none to stop.
    const facts = await meta.read(NAME, Facts).catch(() => undefined)
    return new HomeHealth(meta, facts ?? NONE, now, failed)
  }

  get facts(): Facts {
    return this.#facts
  }

  /** Durable when it resolves. */
  async rolledBack(evidence: string): Promise<void> {
    if (this.#facts.rolledBack === null) this.onNews('rolled-back', evidence)
    await this.#change({ ...this.#facts, rolledBack: added(this.#facts.rolledBack, evidence, this.#now()) })
  }

  async copied(evidence: string): Promise<void> {
    if (this.#facts.copied === null) this.onNews('copied', evidence)
    await this.#change({ ...this.#facts, copied: added(this.#facts.copied, evidence, this.#now()) })
  }

  async lost(evidence: string): Promise<void> {
    await this.#change({ ...this.#facts, lost: added(this.#facts.lost, evidence, this.#now()) })
  }

  async event(what: string): Promise<void> {
    this.onNews('scrub', what)
    const events = [...this.#facts.events, { atMs: this.#now(), what }].slice(-EVENTS_MAX)
    await this.#change({ ...this.#facts, events })
  }

  /**
   * `relearnt`: every peer has been heard since `rolledBack` was last raised, and names nothing of ours that we lack.
   * Call it now and then.
   */
  async review(relearnt: (sinceMs: number) => boolean): Promise<void> {
    const { rolledBack, copied, lost } = this.#facts
    if (lost !== null && this.#now() - lost.lastMs > LOST_SHOWN_MS) await this.#change({ ...this.#facts, lost: null })
    if (rolledBack !== null && relearnt(rolledBack.lastMs)) {
      await this.#change({ ...this.#facts, rolledBack: null })
      await this.event('what this node had written and lost has come back from its peers')
    }
    if (copied !== null && this.#now() - copied.lastMs > COPY_QUIET_MS) {
      await this.#change({ ...this.#facts, copied: null })
      await this.event('the copy of this home has been silent for ten minutes')
    }
    if (this.#dirty) await this.#write()
  }

  async close(): Promise<void> {
    await this.#writing
    if (this.#dirty) await this.#write()
  }

  async #change(facts: Facts): Promise<void> {
    const flags = ({ rolledBack, copied, lost }: Facts) =>
      [rolledBack, copied, lost].map((fact) => fact === null).join()
    const flagged = flags(this.#facts) !== flags(facts)
    this.#facts = facts
    this.#dirty = true
    // The first of a kind is written at once; more of the same joins the next.
    if (flagged || this.#now() - this.#writtenAtMs >= WRITE_EVERY_MS) await this.#write()
  }

  async #write(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing
    if (!this.#dirty) return
    this.#dirty = false
    this.#writtenAtMs = this.#now()
    this.#writing = this.#meta.write(NAME, Facts, this.#facts).catch((error: unknown) => {
      this.#dirty = true
      this.#failed(error)
    })
    await this.#writing
    this.#writing = undefined
  }
}

function added(fact: Fact | null, evidence: string, atMs: number): Fact {
  if (fact === null) return { sinceMs: atMs, lastMs: atMs, evidence: [evidence] }
  const all = fact.evidence.includes(evidence) ? fact.evidence : [...fact.evidence, evidence].slice(-EVIDENCE_MAX)
  return { ...fact, lastMs: atMs, evidence: all }
}
