import type { MailboxId, PacketId } from '@sealmesh/protocol/ids'
import type { SealPublicKey } from '@sealmesh/protocol/keys'
import { sealLogCopy } from '@sealmesh/protocol/recovery/log-copy'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Outcome } from '@sealmesh/protocol/wire/frame'
import { chunk } from '../sync/chunk.ts'

/** Packets that the relay has not answered: enough to hide its round trip, few enough to leave the link to others. */
const IN_FLIGHT_MAX = 4

export interface LogTransferDeps {
  readonly sodium: Sodium
  readonly random: (bytes: number) => Uint8Array
  readonly send: (packet: Uint8Array) => 'sent' | 'full' | 'down'
}

export interface CopyTo {
  readonly mailbox: MailboxId
  readonly sealKey: SealPublicKey
  readonly expiresMs: number
}

/** Records on their way to one mailbox, part by part: however long the log is, what was taken is not sent twice. */
export class LogTransfer {
  readonly #deps: LogTransferDeps
  readonly #parts: readonly Uint8Array[][]
  readonly #to: CopyTo
  readonly #over: (outcome: 'kept' | 'refused') => void
  readonly #inFlight = new Map<PacketId, number>()
  #next = 0
  #isOver = false

  /** `over` is called once: the relay has all of it, or refuses a part. */
  constructor(
    deps: LogTransferDeps,
    records: readonly Uint8Array[],
    to: CopyTo,
    over: (outcome: 'kept' | 'refused') => void,
  ) {
    this.#deps = deps
    this.#parts = chunk(records)
    this.#to = to
    this.#over = over
  }

  /** Sends what there is room for. Call it when there may be more. */
  go(): void {
    const { sodium, random, send } = this.#deps
    while (!this.#isOver && this.#inFlight.size < IN_FLIGHT_MAX) {
      const part = this.#parts[this.#next]
      if (part === undefined) {
        if (this.#inFlight.size === 0) this.#end('kept')
        return
      }
      const packet = sealLogCopy(part, this.#to, random, sodium)
      if (packet === undefined) return this.#end('refused') // A key that nothing can be sealed to.
      if (send(packet.bytes) !== 'sent') return
      this.#inFlight.set(packet.id, this.#next)
      this.#next += 1
    }
  }

  /** The relay's answers to what is on its way will not come. */
  lostLink(): void {
    this.#next = Math.min(this.#next, ...this.#inFlight.values())
    this.#inFlight.clear()
  }

  answered(packet: PacketId, outcomes: readonly Outcome[]): void {
    if (!this.#inFlight.delete(packet)) return
    if (outcomes.some(({ outcome }) => outcome === 'refused')) return this.#end('refused')
    this.go()
  }

  #end(outcome: 'kept' | 'refused'): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#over(outcome)
  }
}
