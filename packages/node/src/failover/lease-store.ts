import { Failure } from '@sealmesh/protocol/errors'
import { type LeaseMemory, NO_MEMORY } from '@sealmesh/protocol/failover/node-lease'
import type { Draft } from '@sealmesh/protocol/failover/taking'
import type { AgentId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { z } from 'zod'
import type { Meta } from '../store/meta.ts'

/** A takeover that was asked for and is not in the log: the record as it was signed, and whose register decides. */
export interface KeptDraft extends Draft {
  readonly agent: AgentId
  readonly register: NodeId
  readonly bytes: Uint8Array
}

const Hex = z.string().regex(/^(?:[0-9a-f]{2})*$/)
const Witness = z.object({ relays: z.string(), generation: z.string() })
const Memory = z.object({
  witness: Witness.nullable(),
  count: z.int().min(0),
  incarnation: Hex.nullable(),
  confirmed: z.int().min(0),
  listed: z.array(Hex),
  taken: z.array(z.object({ agent: Hex, term: z.int(), record: Hex, holder: Hex })),
  doubt: z.int().nullable(),
})
const Kept = z.object({
  agent: Hex,
  register: Hex,
  record: Hex,
  term: z.int(),
  expected: Hex,
  witness: Witness,
  bytes: Hex,
})
const Notes = z.object({
  /** When this node lost a lease that it had not released. */
  failuresAtMs: z.array(z.number()),
  /** Assigns of this node's takeovers that others may not have. */
  untold: z.array(Hex),
})

const MEMORY = 'lease-memory'
const NOTES = 'lease-notes'
/** Takeovers whose answer has not come: of one agent each, and few at a time. */
const DRAFTS = Array.from({ length: 8 }, (_, at) => `lease-draft-${at}`)
/** In hexadecimal, with the rest, a named value holds it. */
const DRAFT_BYTES_MAX = 32_000
const FAILURES_KEPT = 8
const UNTOLD_MAX = 64

/** What leases must not forget over a restart; all of it is durable when a call resolves. */
export class LeaseStore {
  readonly #meta: Meta
  #memory: LeaseMemory
  #notes: z.infer<typeof Notes>
  readonly #drafts: (KeptDraft | undefined)[]
  #tail: Promise<unknown> = Promise.resolve()

  private constructor(
    meta: Meta,
    memory: LeaseMemory,
    notes: z.infer<typeof Notes>,
    drafts: (KeptDraft | undefined)[],
  ) {
    this.#meta = meta
    this.#memory = memory
    this.#notes = notes
    this.#drafts = drafts
  }

  static async load(meta: Meta): Promise<LeaseStore> {
    const memory = (await meta.read(MEMORY, Memory)) as LeaseMemory | undefined
    const notes = await meta.read(NOTES, Notes)
    const drafts = await Promise.all(
      DRAFTS.map(async (name) => {
        const kept = await meta.read(name, Kept)
        return kept && ({ ...kept, expected: bytesOf(kept.expected), bytes: bytesOf(kept.bytes) } as KeptDraft)
      }),
    )
    return new LeaseStore(meta, memory ?? NO_MEMORY, notes ?? { failuresAtMs: [], untold: [] }, drafts)
  }

  get memory(): LeaseMemory {
    return this.#memory
  }

  get drafts(): readonly KeptDraft[] {
    return this.#drafts.filter((draft) => draft !== undefined)
  }

  get failuresAtMs(): readonly number[] {
    return this.#notes.failuresAtMs
  }

  keep(memory: LeaseMemory): Promise<void> {
    return this.#inTurn(async () => {
      if (memory === this.#memory) return
      await this.#meta.write(MEMORY, Memory, { ...memory, listed: [...memory.listed], taken: [...memory.taken] })
      this.#memory = memory
    })
  }

  /** Throws BASIS_TOO_LARGE, and CORE_BUSY while too many are undecided. */
  keepDraft(draft: KeptDraft): Promise<void> {
    return this.#inTurn(async () => {
      if (draft.bytes.length > DRAFT_BYTES_MAX)
        throw new Failure('BASIS_TOO_LARGE', 'What the new term starts from is too much for one record.')
      const at = this.#drafts.indexOf(undefined)
      if (at < 0) throw new Failure('CORE_BUSY', 'Nobody knows yet what became of earlier takeovers.')
      const { expected, bytes, ...rest } = draft
      await this.#meta.write(DRAFTS[at]!, Kept, { ...rest, expected: hexOf(expected), bytes: hexOf(bytes) })
      this.#drafts[at] = draft
    })
  }

  dropDraft(record: RecordHash): Promise<void> {
    return this.#inTurn(async () => {
      const at = this.#drafts.findIndex((draft) => draft?.record === record)
      if (at < 0) return
      await this.#meta.delete(DRAFTS[at]!)
      this.#drafts[at] = undefined
    })
  }

  isUntold(record: RecordHash): boolean {
    return this.#notes.untold.includes(record)
  }

  noteFailure(atMs: number): Promise<void> {
    return this.#note(({ failuresAtMs, untold }) => ({
      failuresAtMs: [...failuresAtMs, atMs].slice(-FAILURES_KEPT),
      untold,
    }))
  }

  noteUntold(record: RecordHash): Promise<void> {
    return this.#note((notes) => ({ ...notes, untold: [...notes.untold, record].slice(-UNTOLD_MAX) }))
  }

  noteTold(record: RecordHash): Promise<void> {
    if (!this.isUntold(record)) return Promise.resolve()
    return this.#note((notes) => ({ ...notes, untold: notes.untold.filter((each) => each !== record) }))
  }

  #note(change: (notes: z.infer<typeof Notes>) => z.infer<typeof Notes>): Promise<void> {
    return this.#inTurn(async () => {
      const notes = change(this.#notes)
      await this.#meta.write(NOTES, Notes, notes)
      this.#notes = notes
    })
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#tail.then(work)
    this.#tail = turn.catch(() => undefined)
    return turn
  }
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'))
