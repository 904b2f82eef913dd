import { Failure } from '@sealmesh/protocol/errors'
import type { RecordHash } from '@sealmesh/protocol/ids'
import type { Secret } from '@sealmesh/protocol/keys'
import { agrees } from '@sealmesh/protocol/membership/checkpoint'
import type { MembershipLog } from '@sealmesh/protocol/membership/log'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { RecordBody, RecordSigner, SignedRecord } from '@sealmesh/protocol/membership/record'
import { decodeRecord, signRecord } from '@sealmesh/protocol/membership/record-codec'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { RecordStore } from '../store/record-store.ts'

/** The membership log of this node: durable before it counts, and everybody who depends on it told. */
export class LogKeeper {
  readonly #log: MembershipLog
  readonly #records: RecordStore
  readonly #sodium: Sodium
  readonly #now: () => number
  readonly #listeners: ((mesh: Mesh) => Promise<void> | void)[] = []
  /** What the stored records say: nobody is shown a term that a crash could take back. */
  #mesh: Mesh
  /** How many of the log's records are stored and told of. */
  #settled: number
  /** One change at a time: a record is signed over the heads that the one before it left. */
  #tail: Promise<unknown> = Promise.resolve()
  /** What a record follows does not change: asked once for each checkpoint. */
  #checked: { readonly record: RecordHash; readonly agrees: boolean } | null = null

  constructor(deps: { log: MembershipLog; records: RecordStore; sodium: Sodium; now: () => number }) {
    this.#log = deps.log
    this.#settled = deps.log.size
    this.#mesh = deps.log.mesh
    this.#records = deps.records
    this.#sodium = deps.sodium
    this.#now = deps.now
  }

  get mesh(): Mesh {
    return this.#mesh
  }

  /** Awaited before the change is reported to whoever made it: documents are judged anew first. */
  onChange(listener: (mesh: Mesh) => Promise<void> | void): void {
    this.#listeners.push(listener)
  }

  /** Signs a record over the present heads, stores it, applies it. Refused when our own fold would void it. */
  append(
    body: RecordBody | ((mesh: Mesh) => RecordBody | Promise<RecordBody>),
    signer: RecordSigner,
    secret: Secret<'root' | 'sign' | 'agent'>,
  ): Promise<SignedRecord> {
    return this.#inTurn(async () => {
      await this.#settle() // What we sign on must be stored before we are.
      const mesh = this.mesh // Nothing changes it while this has its turn.
      const said = typeof body === 'function' ? await body(mesh) : body
      const record = signRecord(
        {
          mesh: mesh.id,
          parents: mesh.heads,
          timeMs: this.#now(),
          signer,
          body: said,
        },
        secret,
        this.#sodium,
      )
      await this.#records.put([record])
      this.#log.add(record)
      await this.#settle()
      const voided = this.mesh.voided.get(record.hash)
      if (voided !== undefined) {
        const code =
          voided === 'TERM_NOT_HIGHER' ? 'TERM_NOT_HIGHER' : voided === 'NOT_A_HOST' ? 'NOT_A_HOST' : 'NOT_ADMIN'
        throw new Failure(code, `The mesh does not accept this ${record.body.type} record (${voided}).`)
      }
      return record
    })
  }

  /** The same record, signed and not entered: for what somebody else has to allow first. `receive` enters it. */
  draft(body: (mesh: Mesh) => RecordBody, signer: RecordSigner, secret: Secret<'sign'>): Promise<SignedRecord> {
    return this.#inTurn(async () => {
      await this.#settle()
      const { mesh } = this
      const parents = mesh.heads
      return signRecord({ mesh: mesh.id, parents, timeMs: this.#now(), signer, body: body(mesh) }, secret, this.#sodium)
    })
  }

  /** Records from a peer, in any order. Bad ones are dropped and counted; good ones are durable when this resolves. */
  receive(records: readonly Uint8Array[]): Promise<{ added: number; refused: number }> {
    return this.#inTurn(async () => {
      let refused = 0
      for (const bytes of records) {
        const record = decodeRecord(bytes, this.#sodium)
        // One that waits for its parents is kept in memory, bounded, and asked for again with them.
        if (!record.ok || this.#log.add(record.value) === 'refused') refused += 1
      }
      return { added: await this.#settle(), refused }
    })
  }

  /** Who says that these records fold to something else; null while nobody does. */
  differsFrom(): RecordSigner | null {
    const { checkpoint } = this.mesh
    if (checkpoint === null) return null
    const { record, signer } = checkpoint
    if (this.#checked?.record !== record) this.#checked = { record, agrees: agrees(this.mesh, record, this.#sodium) }
    return this.#checked.agrees ? null : signer
  }

  knows(heads: readonly RecordHash[]): boolean {
    return heads.every((hash) => this.mesh.records.has(hash))
  }

  after(heads: readonly RecordHash[]): SignedRecord[] {
    return this.#log.after(heads)
  }

  /**
   * Stores what the log holds beyond what is stored, lets it count, then tells. What a write failed for does not count,
   * so that whoever names it is asked for it again: that, or the next record, makes it good.
   */
  async #settle(): Promise<number> {
    const entered = this.#log.entered(this.#settled)
    if (entered.length > 0) await this.#records.put(entered)
    this.#mesh = this.#log.mesh
    if (entered.length === 0) return 0
    for (const listener of this.#listeners) await listener(this.mesh)
    this.#settled += entered.length
    return entered.length
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(work)
    this.#tail = turn.catch(() => undefined)
    return turn
  }
}

export function storedRecord(bytes: Uint8Array, sodium: Sodium): SignedRecord {
  const record = decodeRecord(bytes, sodium)
  if (!record.ok) throw new Failure('STORE_DAMAGED', 'A stored membership record cannot be read.')
  return record.value
}
