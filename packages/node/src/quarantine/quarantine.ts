import { toHex } from '@sealmesh/protocol/bytes'
import { isPacketFailureCode, type PacketFailure, type PacketFailureCode } from '@sealmesh/protocol/envelope/failure'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { z } from 'zod'
import type { Meta } from '../store/meta.ts'

/** Of one code: a flood of one kind hides no other kind. All of them fit one named value. */
export const KEPT_PER_CODE = 8
/** What a crash may make the list forget; and what a flood costs the disk. */
const WRITE_EVERY_MS = 5_000

const Entry = z.object({
  /** The first half of the hash of the packet's bytes. */
  packet: z.string(),
  code: z.string().refine(isPacketFailureCode),
  /** As the packet says; which codes prove it stands with them. */
  sender: z.string().nullable(),
  bytes: z.number(),
  firstMs: z.number(),
  lastMs: z.number(),
  times: z.number(),
})
const Kept = z.object({ entries: z.array(Entry), counts: z.array(z.tuple([z.string(), z.number()])) })
type Entry = z.infer<typeof Entry>

const NAME = 'quarantine'

/**
 * What was delivered here and not used, the latest of each kind, durably. Bytes are kept only of packets that records
 * which are still on their way may open, and only in memory: heads find what they said if this process ends first.
 */
export class Quarantine {
  readonly #meta: Meta
  readonly #sodium: Sodium
  readonly #now: () => number
  readonly #failed: (error: unknown) => void
  /** By code, then by packet, the latest last. */
  readonly #entries = new Map<PacketFailureCode, Map<string, Entry>>()
  readonly #counts = new Map<PacketFailureCode, number>()
  readonly #waiting = new Map<string, { readonly sender: NodeId; readonly bytes: Uint8Array }>()
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> | undefined

  private constructor(deps: QuarantineDeps) {
    this.#meta = deps.meta
    this.#sodium = deps.sodium
    this.#now = deps.now
    this.#failed = deps.failed
  }

  static async load(deps: QuarantineDeps): Promise<Quarantine> {
    const quarantine = new Quarantine(deps)
    // A damaged list is no reason not to start: it is made again.
    const kept = await deps.meta.read(NAME, Kept).catch(() => undefined)
    for (const entry of kept?.entries ?? []) quarantine.#ofCode(entry.code).set(entry.packet, entry)
    for (const [code, packets] of kept?.counts ?? [])
      if (isPacketFailureCode(code)) quarantine.#counts.set(code, packets)
    return quarantine
  }

  add(packet: Uint8Array, failure: PacketFailure): void {
    const { code } = failure
    const sender = 'sender' in failure ? failure.sender : null
    const nowMs = this.#now()
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1)
    const name = toHex(this.#sodium.hash([packet])).slice(0, 32)
    const entries = this.#ofCode(code)
    const before = entries.get(name)
    entries.delete(name)
    entries.set(name, {
      packet: name,
      code,
      sender,
      bytes: packet.length,
      firstMs: before?.firstMs ?? nowMs,
      lastMs: nowMs,
      times: (before?.times ?? 0) + 1,
    })
    if (code === 'PACKET_SENDER_UNKNOWN' && sender !== null) this.#waiting.set(name, { sender, bytes: packet.slice() })
    const oldest = entries.keys().next().value
    if (entries.size > KEPT_PER_CODE && oldest !== undefined) this.#forget(code, oldest)
    this.#writeSoon()
  }

  /** Packets whose sender was not known and is now: they are no longer here, and to be opened once more. */
  release(isKnown: (sender: NodeId) => boolean): Uint8Array[] {
    const released: Uint8Array[] = []
    for (const [name, { sender, bytes }] of this.#waiting) {
      if (!isKnown(sender)) continue
      released.push(bytes)
      this.#forget('PACKET_SENDER_UNKNOWN', name)
    }
    if (released.length > 0) this.#writeSoon()
    return released
  }

  /** The latest first. */
  entries(): Entry[] {
    return [...this.#entries.values()].flatMap((each) => [...each.values()]).sort((a, b) => b.lastMs - a.lastMs)
  }

  /** Of all that was ever not used here. */
  counts(): { code: PacketFailureCode; packets: number }[] {
    return [...this.#counts].map(([code, packets]) => ({ code, packets }))
  }

  async close(): Promise<void> {
    if (this.#timer === undefined) return this.#writing
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#writing
    await this.#write()
  }

  #forget(code: PacketFailureCode, name: string): void {
    this.#ofCode(code).delete(name)
    this.#waiting.delete(name)
  }

  #ofCode(code: PacketFailureCode): Map<string, Entry> {
    const entries = this.#entries.get(code) ?? new Map<string, Entry>()
    this.#entries.set(code, entries)
    return entries
  }

  #writeSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#writing = this.#write()
    }, WRITE_EVERY_MS).unref()
  }

  #write(): Promise<void> {
    const kept = { entries: this.entries().reverse(), counts: [...this.#counts] }
    return this.#meta.write(NAME, Kept, kept).catch(this.#failed)
  }
}

export interface QuarantineDeps {
  readonly meta: Meta
  readonly sodium: Sodium
  readonly now: () => number
  readonly failed: (error: unknown) => void
}
