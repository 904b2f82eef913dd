import { Failure } from '@sealmesh/protocol/errors'
import type { Moment } from '@sealmesh/protocol/failover/elapsed'
import {
  type LeaseBlob,
  type LeaseKey,
  leaseSlotOf,
  openLease,
  sealLease,
  type Taken,
} from '@sealmesh/protocol/failover/lease-blob'
import type { NodeLease, Wanted } from '@sealmesh/protocol/failover/node-lease'
import type { LeaseTiming } from '@sealmesh/protocol/failover/timing'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import { NONCE_BYTES } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { LeaseStore } from './lease-store.ts'
import { type LiftFenceDeps, mayLiftFence } from './lift-fence.ts'
import { within } from './within.ts'
import type { SlotSeen, Witness } from './witness.ts'

/** Rounds of one renewal: each that fails has learnt what stands in its way. */
const ROUNDS_MAX = 4
/** After a question that could not even be asked. */
const ASK_AGAIN_MS = 1_000

export interface OwnRegisterDeps {
  readonly node: NodeId
  readonly lease: NodeLease
  readonly store: LeaseStore
  readonly sodium: Sodium
  readonly random: (bytes: number) => Uint8Array
  readonly moment: () => Moment
  readonly witness: () => Witness | null
  readonly timing: () => LeaseTiming | null
  readonly key: () => LeaseKey | null
  /** What is to be listed now; null while nothing may be claimed. */
  readonly wanted: () => readonly Wanted[] | null
  readonly handed: () => readonly { readonly agent: AgentId; readonly to: NodeId }[]
  /** Whether the log counts the record of this taking, or a later one. */
  readonly isKnown: (taken: Taken) => boolean
  /** Of the term that the present one follows. */
  readonly holderBefore: (agent: AgentId) => NodeId | undefined
  /** Every answer about any register passes here first. */
  readonly heard: (seen: SlotSeen) => Promise<void>
  /** The register knows more of this node than it does itself. Resolves to true once that is made good. */
  readonly ahead: () => Promise<boolean>
  /** A lease that was not released is gone. */
  readonly broken: () => Promise<void>
  /** It succeeded; `continued`: the lease before had not run out. */
  readonly won: (sent: Moment, continued: boolean) => void
  readonly leftOut: (agents: readonly AgentId[]) => void
  readonly failed: (error: unknown) => void
}

/** Keeps this node's lease: one question at a time, the next when it is due or somebody wants it sooner. */
export class OwnRegister {
  readonly #deps: OwnRegisterDeps
  /** Hash of what lies there; undefined when nobody knows. */
  #expected: Uint8Array | null | undefined
  #timer: NodeJS.Timeout | undefined
  #running: Promise<boolean> | undefined
  #again = false
  #state: 'renewed' | 'released' = 'renewed'
  #closed = false

  constructor(deps: OwnRegisterDeps) {
    this.#deps = deps
  }

  /** Renews now, or once more after the renewal that is on its way. True when it has succeeded. */
  renew(): Promise<boolean> {
    if (this.#closed || this.#state === 'released') return Promise.resolve(false)
    if (this.#running !== undefined) {
      this.#again = true
      return this.#running.then(() => this.#running ?? this.renew())
    }
    return this.#start()
  }

  /** Nobody counts on this lease any more, this node least of all; until `resume`. */
  async release(): Promise<boolean> {
    this.#state = 'released'
    clearTimeout(this.#timer)
    await this.#running?.catch(() => false)
    // With nothing listed there is nothing to release.
    if (this.#deps.lease.memory.listed.length === 0) return true
    return this.#start()
  }

  resume(): void {
    this.#state = 'renewed'
    void this.renew()
  }

  get isReleased(): boolean {
    return this.#state === 'released'
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #start(): Promise<boolean> {
    clearTimeout(this.#timer)
    this.#again = false
    const started = this.#deps.moment()
    const running = this.#write()
      .catch((error: unknown) => {
        this.#deps.failed(error)
        return false
      })
      .then((won) => {
        this.#running = undefined
        if (!this.#closed && this.#state === 'renewed') this.#plan(won, started)
        return won
      })
    this.#running = running
    return running
  }

  #plan(won: boolean, started: Moment): void {
    const renewMs = this.#deps.timing()?.renewMs ?? ASK_AGAIN_MS
    const tookMs = this.#deps.moment().monotonicMs - started.monotonicMs
    const inMs = this.#again ? 0 : won ? Math.max(0, renewMs - tookMs) : Math.max(0, ASK_AGAIN_MS - tookMs)
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.renew(), inMs)
    this.#timer.unref()
  }

  async #write(): Promise<boolean> {
    const { lease, store, moment } = this.#deps
    const [witness, timing, key] = [this.#deps.witness(), this.#deps.timing(), this.#deps.key()]
    if (witness === null || timing === null || key === null) return false
    const slot = leaseSlotOf(key, this.#deps.node, this.#deps.sodium)
    for (let round = 0; round < ROUNDS_MAX && !this.#closed; round++) {
      if (this.#expected === undefined) {
        const seen = await within(timing.retryMs, witness.read(slot))
        if (!(await this.#judge(seen, key))) return false
      }
      const wanted = this.#deps.wanted()
      if (wanted === null) return false
      lease.forgetTaken(this.#deps.isKnown)
      await this.#liftFences(wanted, { ...this.#deps, witness, timing, key })
      // Who has nothing to hold and has never said otherwise asks nothing of the relay.
      if (wanted.length === 0 && lease.memory.listed.length === 0 && lease.won === null) return true
      const { blob, leftOut } = lease.next(this.#state, wanted, this.#deps.handed(), timing, moment())
      this.#deps.leftOut(leftOut)
      await store.keep(lease.memory)
      const sealed = sealLease(blob, key, this.#deps.random(NONCE_BYTES), this.#deps.sodium, witness.blobBytes)
      if (!sealed.ok) throw new Failure('INTERNAL', 'A lease did not fit its register.')
      const sent = moment()
      const answer = await this.#ask(timing, witness.set(slot, this.#expected ?? null, sealed.value, 0))
      if (answer.result !== 'set') {
        if (!(await this.#judge(answer, key))) return false
        continue
      }
      await this.#deps.heard(answer)
      this.#expected = answer.hash
      const continued = lease.runs(moment())
      lease.answered(blob, sent)
      await store.keep(lease.memory)
      this.#deps.won(sent, continued)
      return true
    }
    return false
  }

  /** What lies in this register has been read before: who fences it after that makes the write that follows fail. */
  async #liftFences(wanted: readonly Wanted[], deps: LiftFenceDeps): Promise<void> {
    for (const each of wanted) {
      if (!this.#deps.lease.isFenced(each)) continue
      const before = this.#deps.holderBefore(each.agent)
      if (before === undefined || before === this.#deps.node) continue
      if (await mayLiftFence(each, before, deps)) this.#deps.lease.liftFence(each)
    }
  }

  async #ask<T>(timing: LeaseTiming, question: Promise<T>): Promise<T> {
    try {
      return await within(timing.retryMs, question)
    } catch (error) {
      this.#deps.lease.unanswered()
      this.#expected = undefined
      throw error
    }
  }

  /** False while nothing may be written over it. */
  async #judge(seen: SlotSeen, key: LeaseKey): Promise<boolean> {
    const { lease, store, node, sodium } = this.#deps
    await this.#deps.heard(seen)
    const opened = seen.blob === null ? undefined : openLease(seen.blob, node, key, sodium)
    const blob: LeaseBlob | null = opened?.ok === true ? opened.value : null
    const verdict = lease.found(blob, seen.witness, this.#deps.moment())
    this.#expected = seen.hash
    await store.keep(lease.memory)
    if (verdict === 'broken') await this.#deps.broken()
    if (verdict !== 'ahead' || blob === null) return true
    this.#expected = undefined
    if (!(await this.#deps.ahead())) return false
    lease.adopt(blob)
    await store.keep(lease.memory)
    this.#expected = seen.hash
    return true
  }
}
