import type { MeshId, RecordHash } from '../ids.ts'
import { LOG_LIMITS, RECORDS_WAITING_BYTES_MAX, RECORDS_WAITING_MAX } from '../limits.ts'
import type { Sodium } from '../sodium.ts'
import { enterAll, foldLedger } from './fold.ts'
import { Ledger, type VerifyRecord } from './ledger.ts'
import type { Mesh } from './mesh.ts'
import type { SignedRecord } from './record.ts'
import { verifyRecord } from './record-codec.ts'

/**
 * - added: its ancestors were all here, and its signature is good. Whether it counts is the fold's business.
 * - waiting: a parent has not arrived; it enters by itself when that does, and may be forgotten before (limits.ts).
 * - refused: another mesh, a bad signature, a signer that no ancestor admits, or a full log. For the first three
 *   every node decides alike, so that nothing that follows such a record enters anywhere.
 */
export type AddOutcome = 'added' | 'duplicate' | 'waiting' | 'refused'

export type LogLimits = { readonly [Limit in keyof typeof LOG_LIMITS]: number }

/** The membership log in memory (docs/spec/02-membership.md §4): takes records in any order, folds when asked. */
export class MembershipLog {
  readonly #sodium: Sodium
  readonly #limits: LogLimits
  readonly #ledger: Ledger
  readonly #verify: VerifyRecord
  /** In order of arrival: the oldest makes room. */
  readonly #waiting = new Map<RecordHash, SignedRecord>()
  /** Waiting records, by each parent that has not entered. */
  readonly #followers = new Map<RecordHash, Set<RecordHash>>()
  #waitingBytes = 0
  /** Of the records that have entered. */
  #bytes = 0
  /** The last that were refused: what follows them is refused at once, and its parents are not asked for again. */
  readonly #refused = new Set<RecordHash>()
  #mesh: Mesh | undefined
  /** Who was in the mesh when so many records had entered. */
  #folded: { readonly size: number; readonly nodes: Mesh['nodes'] } | undefined

  constructor(mesh: MeshId, sodium: Sodium, limits: LogLimits = LOG_LIMITS) {
    this.#sodium = sodium
    this.#limits = limits
    this.#ledger = new Ledger(mesh, sodium)
    this.#verify = (record, key) => verifyRecord(record, key, sodium)
  }

  /**
   * The log of records that this node kept, in whatever order its store lists them. Their signatures were checked
   * before they were stored and are not checked again: ten thousand would hold up every start by a second.
   */
  static restore(mesh: MeshId, records: Iterable<SignedRecord>, sodium: Sodium): MembershipLog {
    const log = new MembershipLog(mesh, sodium)
    enterAll(log.#ledger, records, () => true)
    for (const { record } of log.#ledger.entries) log.#bytes += record.bytes.length
    return log
  }

  /** The fold of what has entered; made once per change. */
  get mesh(): Mesh {
    this.#mesh ??= foldLedger(this.#ledger, this.#missing(), this.#sodium)
    return this.#mesh
  }

  /** How many records have entered. */
  get size(): number {
    return this.#ledger.entries.length
  }

  has(hash: RecordHash): boolean {
    return this.#ledger.get(hash) !== undefined
  }

  add(record: SignedRecord): AddOutcome {
    if (record.mesh !== this.#ledger.mesh) return 'refused'
    if (this.has(record.hash) || this.#waiting.has(record.hash)) return 'duplicate'
    if (this.#isFullFor(record)) return 'refused'
    if (this.#refused.has(record.hash)) return 'refused'
    if (record.parents.some((parent) => this.#refused.has(parent))) {
      this.#refuse(record.hash)
      return 'refused'
    }
    if (!this.#isReady(record)) {
      this.#wait(record)
      return 'waiting'
    }
    return this.#enter(record) ? 'added' : 'refused'
  }

  /** What has entered since `size` was this, in causal order: with `add`, all that there is to store. */
  entered(since: number): SignedRecord[] {
    return this.#ledger.entries.slice(since).map(({ record }) => record)
  }

  /** Records that are not in the past of these heads, in causal order; all of them when one of the heads is unknown. */
  after(heads: readonly RecordHash[]): SignedRecord[] {
    const known = heads.map((hash) => this.#ledger.get(hash))
    if (known.includes(undefined)) return this.entered(0)
    const { mesh } = this
    return this.entered(0).filter(({ hash }) => !heads.some((head) => mesh.isInPast(hash, head)))
  }

  /** This record and, one after another, those that waited for it. */
  #enter(first: SignedRecord): boolean {
    this.#mesh = undefined
    const ready = [first]
    for (let record = ready.pop(); record !== undefined; record = ready.pop()) {
      // One that waited may find it filled meanwhile, and comes again when somebody sends it.
      if (record !== first && this.#isFullFor(record)) continue
      if (this.#ledger.enter(record, this.#verify) === undefined) {
        this.#refuse(record.hash)
        continue
      }
      this.#bytes += record.bytes.length
      this.#mesh = undefined
      for (const follower of this.#followersOf(record.hash)) {
        if (!this.#isReady(follower)) continue
        this.#forget(follower)
        ready.push(follower)
      }
      this.#followers.delete(record.hash)
    }
    return this.has(first.hash)
  }

  /** The last places are for those who govern: whoever else fills the log can then be removed. */
  #isFullFor({ signer, bytes }: SignedRecord): boolean {
    const limits = this.#limits
    const records = this.size + 1
    const total = this.#bytes + bytes.length
    if (records > limits.records || total > limits.bytes) return true
    const isReserved = records > limits.records - limits.reservedRecords || total > limits.bytes - limits.reservedBytes
    // Asked last, and hardly ever: it may take a fold.
    return isReserved && !this.#governs(signer)
  }

  /** A signature that is not good enters nowhere, whoever it names. */
  #governs(signer: SignedRecord['signer']): boolean {
    if (signer.type === 'root') return true
    if (signer.type !== 'node') return false
    // What is refused changes nobody's roles: folding for each would let whoever makes records up hold up others.
    if (this.#folded?.size !== this.size) this.#folded = { size: this.size, nodes: this.mesh.nodes }
    const node = this.#folded.nodes.get(signer.node)
    return node !== undefined && node.admin && node.revocations.length === 0
  }

  #isReady(record: SignedRecord): boolean {
    return record.parents.every((parent) => this.has(parent))
  }

  #wait(record: SignedRecord): void {
    this.#mesh = undefined
    this.#waiting.set(record.hash, record)
    this.#waitingBytes += record.bytes.length
    for (const parent of record.parents) {
      if (this.has(parent)) continue
      const followers = this.#followers.get(parent)
      if (followers === undefined) this.#followers.set(parent, new Set([record.hash]))
      else followers.add(record.hash)
    }
    for (const oldest of this.#waiting.values()) {
      if (this.#waiting.size <= RECORDS_WAITING_MAX && this.#waitingBytes <= RECORDS_WAITING_BYTES_MAX) return
      this.#forget(oldest)
    }
  }

  #forget(record: SignedRecord): void {
    if (!this.#waiting.delete(record.hash)) return
    this.#waitingBytes -= record.bytes.length
    for (const parent of record.parents) {
      const followers = this.#followers.get(parent)
      followers?.delete(record.hash)
      if (followers?.size === 0) this.#followers.delete(parent)
    }
  }

  /** With all that waits for it, which can enter nowhere. */
  #refuse(hash: RecordHash): void {
    this.#mesh = undefined // It says which parents are missing.
    const doomed = [hash]
    for (let next = doomed.pop(); next !== undefined; next = doomed.pop()) {
      this.#refused.add(next)
      for (const follower of this.#followersOf(next)) {
        this.#forget(follower)
        doomed.push(follower.hash)
      }
    }
    for (const oldest of this.#refused) {
      if (this.#refused.size <= RECORDS_WAITING_MAX) return
      this.#refused.delete(oldest)
    }
  }

  #followersOf(hash: RecordHash): SignedRecord[] {
    return [...(this.#followers.get(hash) ?? [])].flatMap((follower) => this.#waiting.get(follower) ?? [])
  }

  *#missing(): Iterable<RecordHash> {
    for (const parent of this.#followers.keys()) if (!this.#waiting.has(parent)) yield parent
  }
}
