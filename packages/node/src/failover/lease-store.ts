import { concatBytes, fromUtf8, utf8 } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { type LeaseMemory, NO_MEMORY } from '@sealmesh/protocol/failover/node-lease'
import type { Draft } from '@sealmesh/protocol/failover/taking'
import type { AgentId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { RECORD_BYTES_MAX } from '@sealmesh/protocol/limits'
import { z } from 'zod'
import type { Meta } from '../store/meta.ts'

/** A takeover that was asked for and is not in the log: the record as it was signed, and whose register decides. */
export interface KeptDraft extends Draft {
  readonly agent: AgentId
  readonly register: NodeId
  /** That register says that nobody else holds it: it had listed the agent. */
  readonly proves: boolean
  readonly bytes: Uint8Array
}

const Hex = z.string().regex(/^(?:[0-9a-f]{2})*$/)
const Witness = z.object({ relays: z.string(), generation: z.string() })
const Memory = z.object({
  witness: Witness.nullable(),
  count: z.int().min(0),
  incarnation: Hex.nullable(),
  confirmed: z.int().min(0),
  released: z.int().min(0),
  listed: z.array(Hex),
  taken: z.array(z.object({ agent: Hex, term: z.int(), record: Hex, holder: Hex, sync: Hex.nullable() })),
  doubt: z.int().nullable(),
})
const Kept = z.object({
  agent: Hex,
  register: Hex,
  proves: z.boolean(),
  record: Hex,
  term: z.int(),
  expected: Hex,
  witness: Witness,
  /** Values beside it that hold the record. */
  parts: z.int().min(1),
})
const Notes = z.object({
  /** When this node lost a lease that it had not released. */
  failuresAtMs: z.array(z.number()),
  /** Assigns of this node's takeovers that others may not have. */
  untold: z.array(Hex),
  /** Assigns of this node by which a person went past the registers. */
  forced: z.array(Hex),
  /** Assigns of this node beside which nobody else acts, each with the *failover* record that all know. */
  proven: z.array(z.object({ record: Hex, policy: Hex.nullable() })),
  /** How often the witness was seen to have gone back without saying so. */
  epoch: z.int().min(0),
})

const MEMORY = 'lease-memory'
const NOTES = 'lease-notes'
/** Takeovers whose answer has not come: mostly one of an agent, of all that one register lists. */
const DRAFTS = Array.from({ length: 64 }, (_, at) => `lease-draft-${at}`)
/** A named value holds as much of a record; the greatest takes three. */
const PART_BYTES = Math.ceil(RECORD_BYTES_MAX / 3)
const FAILURES_KEPT = 8
const UNTOLD_MAX = 64
const FORCED_MAX = 64
const PROVEN_MAX = 256

/** What leases must not forget over a restart; all of it is durable when a call resolves. */
export class LeaseStore {
  readonly #meta: Meta
  #memory: LeaseMemory
  #notes: z.infer<typeof Notes>
  readonly #drafts: (KeptDraft | undefined)[]
  /** Places, from that of the oldest draft on; of those that a start found nobody knows the order. */
  #order = DRAFTS.map((_, at) => at)
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
    const drafts = await Promise.all(DRAFTS.map((name) => readDraft(meta, name)))
    return new LeaseStore(
      meta,
      memory ?? NO_MEMORY,
      notes ?? { failuresAtMs: [], untold: [], forced: [], proven: [], epoch: 0 },
      drafts,
    )
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

  /**
   * Of another memory of the witness, or a second one of the same agent, the oldest makes room. Throws CORE_BUSY while
   * none is such: each of the others is asked for again until its register decides.
   */
  keepDraft(draft: KeptDraft): Promise<void> {
    return this.#inTurn(async () => {
      const at = this.#placeFor(draft)
      if (at < 0) throw new Failure('CORE_BUSY', 'Nobody knows yet what became of earlier takeovers.')
      await writeDraft(this.#meta, DRAFTS[at]!, draft)
      this.#drafts[at] = draft
      this.#order = [...this.#order.filter((each) => each !== at), at]
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

  #placeFor({ witness }: KeptDraft): number {
    const free = this.#drafts.indexOf(undefined)
    if (free >= 0) return free
    const isOld = (at: number): boolean => {
      const before = this.#drafts[at]!.witness
      return before.relays !== witness.relays || before.generation !== witness.generation
    }
    const isSecond = (at: number): boolean =>
      this.#drafts.filter((draft) => draft?.agent === this.#drafts[at]!.agent).length > 1
    return this.#order.find(isOld) ?? this.#order.find(isSecond) ?? -1
  }

  isUntold(record: RecordHash): boolean {
    return this.#notes.untold.includes(record)
  }

  noteFailure(atMs: number): Promise<void> {
    return this.#note((notes) => ({ ...notes, failuresAtMs: [...notes.failuresAtMs, atMs].slice(-FAILURES_KEPT) }))
  }

  noteUntold(record: RecordHash): Promise<void> {
    return this.#note((notes) => ({ ...notes, untold: [...notes.untold, record].slice(-UNTOLD_MAX) }))
  }

  isForced(record: RecordHash): boolean {
    return this.#notes.forced.includes(record)
  }

  noteForced(record: RecordHash): Promise<void> {
    return this.#note((notes) => ({ ...notes, forced: [...notes.forced, record].slice(-FORCED_MAX) }))
  }

  isProven(record: RecordHash, policy: RecordHash | null): boolean {
    return this.#notes.proven.some((each) => each.record === record && each.policy === policy)
  }

  noteProven(record: RecordHash, policy: RecordHash | null): Promise<void> {
    if (this.isProven(record, policy)) return Promise.resolve()
    return this.#note((notes) => {
      const others = notes.proven.filter((each) => each.record !== record)
      return { ...notes, proven: [...others, { record, policy }].slice(-PROVEN_MAX) }
    })
  }

  get epoch(): number {
    return this.#notes.epoch
  }

  noteEpoch(epoch: number): Promise<void> {
    return this.#note((notes) => ({ ...notes, epoch }))
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

async function readDraft(meta: Meta, name: string): Promise<KeptDraft | undefined> {
  const bytes = await meta.readBytes(name)
  if (bytes === undefined) return undefined
  const kept = Kept.safeParse(JSON.parse(fromUtf8(bytes) ?? 'null'))
  if (!kept.success) throw new Failure('STORE_DAMAGED', 'A takeover that was begun cannot be read.')
  const parts = await Promise.all(
    Array.from({ length: kept.data.parts }, (_, at) => meta.readBytes(partName(name, at))),
  )
  const { parts: _, ...rest } = kept.data
  const whole = concatBytes(...parts.map((part) => part ?? new Uint8Array()))
  return { ...rest, expected: bytesOf(rest.expected), bytes: whole } as KeptDraft
}

function writeDraft(meta: Meta, name: string, { bytes, expected, ...rest }: KeptDraft): Promise<void> {
  const parts = Math.ceil(bytes.length / PART_BYTES)
  const head = Kept.parse({ ...rest, expected: hexOf(expected), parts })
  return meta.writeAll([
    [name, utf8(JSON.stringify(head))],
    ...Array.from(
      { length: parts },
      (_, at) => [partName(name, at), bytes.slice(at * PART_BYTES, (at + 1) * PART_BYTES)] as const,
    ),
  ])
}

const partName = (name: string, at: number): string => `${name}-${at}`
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'))
