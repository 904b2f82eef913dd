import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import type { MailboxId, MeshId, PacketId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Dice } from '@sealmesh/protocol/test-dice'
import { decodeFrame, encodeFrame, type Frame } from '@sealmesh/protocol/wire/frame'
import { REASON_BYTES, type Reason } from '@sealmesh/protocol/wire/reason'
import { type Client, type Disk, SimulatedRelay } from '../relay/simulated-relay.ts'
import type { Tail, Temper } from './lies.ts'
import type { VirtualTime } from './virtual-time.ts'

/** One connection, as its node sees it: an in-process line or a socket. */
export interface Line {
  /** Whose it is, once that is known. */
  node: string | undefined
  give(bytes: Uint8Array): void
  end(): void
}

/** Reasons after which a node waits for five minutes, or for an hour: in a run of a minute or two nothing else follows. */
const FINAL: readonly Reason[] = [
  'NODE_REVOKED',
  'TOKEN_EXPIRED',
  'CLAIM_INVALID',
  'LOGIN_SIGNATURE',
  'CLAIM_REQUIRED',
  'MESH_NOT_ADMITTED',
  'QUOTA_NODES',
  'TOKEN_INVALID',
  'VERSION_MISMATCH',
]
const REASONS = Object.keys(REASON_BYTES) as Reason[]
const HEADER_RECIPIENT_AT = 24
const KEPT_MAX = 400
const FLOOD_PACKETS = 200
const LARGE_BYTES = 1_000
const ENORMOUS_BYTES = 300_000

export interface LyingRelayDeps {
  readonly sodium: Sodium
  readonly mesh: MeshId
  readonly time: VirtualTime
  readonly dice: Dice
  readonly temper: Temper
  readonly tails: readonly Tail[]
  /** Of nodes, by their login keys. */
  readonly names: ReadonlyMap<string, string>
  /** Of anybody, today and tomorrow. */
  readonly mailboxes: readonly MailboxId[]
  /** What a packet holds, by its id: no relay can know, so this one is worse than any. */
  readonly contents: ReadonlyMap<PacketId, { readonly from: string; readonly items: ReadonlySet<string> }>
}

/**
 * The real relay's core behind somebody who holds its cables and its disk: what goes in and out of it is dropped, held
 * back, doubled, put together anew and made up, all of it by one seed. Turned honest it is the real relay.
 */
export class LyingRelay {
  readonly #deps: LyingRelayDeps
  readonly #relay: SimulatedRelay
  readonly #lines = new Map<Line, Client>()
  /** Packets that it has seen, for whomever. */
  readonly #kept: Uint8Array[] = []
  readonly #startedMs: number
  #yesterday: Disk | undefined
  #honest = false
  #sequence = 1_000_000
  lies = 0

  constructor(deps: LyingRelayDeps) {
    this.#deps = deps
    this.#relay = new SimulatedRelay(deps.sodium)
    this.#relay.admit(deps.mesh)
    this.#startedMs = deps.time.nowMs
    this.#relay.nowMs = deps.time.nowMs
    const { yesterdayAtS, wipedAtS } = deps.temper
    if (yesterdayAtS !== null) {
      deps.time.after((yesterdayAtS - 20) * 1_000, () => void (this.#yesterday = this.#relay.snapshot()))
      deps.time.after(yesterdayAtS * 1_000, () => this.#restore(this.#yesterday))
    }
    if (wipedAtS !== null) deps.time.after(wipedAtS * 1_000, () => this.#restore(undefined))
  }

  get id(): string {
    return this.#relay.state.relay
  }

  turnHonest(): void {
    this.#honest = true
  }

  /** The real one's disk and clock. */
  tick(): void {
    this.#relay.nowMs = this.#deps.time.nowMs
    this.#relay.feed({ type: 'tick' })
    this.settle()
  }

  settle(): void {
    this.#relay.settle()
  }

  open(line: Line): void {
    this.#relay.nowMs = this.#deps.time.nowMs
    const client = this.#relay.connect('192.0.2.1', {
      hear: (frame) => this.#outward(line, frame),
      closed: () => {
        this.#lines.delete(line)
        line.end()
      },
    })
    this.#lines.set(line, client)
  }

  closed(line: Line): void {
    const client = this.#lines.get(line)
    this.#lines.delete(line)
    if (client !== undefined) this.#relay.drop(client)
  }

  /** From a node. */
  hear(line: Line, bytes: Uint8Array): void {
    const client = this.#lines.get(line)
    const decoded = decodeFrame(bytes)
    if (client === undefined || !decoded.ok) return
    const frame = decoded.value
    if (frame.type === 'login') line.node = this.#deps.names.get(toHex(frame.loginKey))
    if (frame.type !== 'send' || this.#honest) return this.#say(client, frame)
    const { dice, temper } = this.#deps
    for (const packet of frame.packets) {
      this.#kept.push(Uint8Array.from(packet))
      if (this.#kept.length > KEPT_MAX) this.#kept.shift()
      if (this.#happens(temper.forget)) this.#answer(line, packet, dice.pick(2) === 0 ? 'stored' : 'delivered')
      else if (!this.#happens(temper.swallow)) this.#say(client, { type: 'send', packets: [packet] })
    }
    this.settle()
  }

  #say(client: Client, frame: Frame): void {
    this.#relay.nowMs = this.#deps.time.nowMs
    client.say(frame)
    this.settle()
  }

  /** To a node. */
  #outward(line: Line, frame: Frame): void {
    if (this.#honest || line.node === undefined || !this.#lines.has(line)) return this.#give(line, frame)
    const { temper } = this.#deps
    if (frame.type === 'deliver') for (const each of frame.packets) this.#deliver(line, each)
    else this.#give(line, frame)
    if (this.#happens(temper.forge)) this.#forge(line)
    if (this.#happens(temper.junk)) this.#junk(line)
    if (this.#happens(temper.flood)) this.#flood(line)
    if (this.#happens(temper.reset)) this.#end(line)
  }

  #deliver(line: Line, { sequence, packet }: { sequence: number; packet: Uint8Array }): void {
    const { temper, dice, time } = this.#deps
    this.#kept.push(Uint8Array.from(packet))
    if (this.#kept.length > KEPT_MAX) this.#kept.shift()
    if (this.#isTail(line, packet) || this.#happens(temper.drop)) {
      this.lies += 1
      return
    }
    const given = this.#changed(packet)
    const give = (bytes: Uint8Array, at = sequence) =>
      this.#give(line, { type: 'deliver', packets: [{ sequence: at, packet: bytes }] })
    if (this.#happens(temper.delay)) time.after(100 + dice.pick(30_000), () => give(given))
    else give(given)
    if (this.#happens(temper.duplicate)) give(given)
    if (this.#happens(temper.replay)) give(dice.one(this.#kept), this.#sequence++)
  }

  /** Header and body of two packets, a bit that is another one, a recipient who is somebody else. */
  #changed(packet: Uint8Array): Uint8Array {
    const { temper, dice } = this.#deps
    const changed = Uint8Array.from(packet)
    if (this.#happens(temper.flip)) {
      const at = dice.pick(changed.length)
      changed[at] = (changed[at] ?? 0) ^ (1 << dice.pick(8))
    }
    if (this.#happens(temper.swap)) {
      const other = dice.one(this.#deps.mailboxes)
      changed.set(fromHex(other), HEADER_RECIPIENT_AT)
    }
    if (this.#happens(temper.splice)) {
      const other = dice.one(this.#kept)
      const [mine, theirs] = [readPacketHeader(changed), readPacketHeader(other)]
      if (mine.ok && theirs.ok) {
        const header = changed.subarray(0, mine.value.bodyOffset)
        return Uint8Array.from(Buffer.concat([header, other.subarray(theirs.value.bodyOffset)]))
      }
    }
    return changed
  }

  #isTail({ node }: Line, packet: Uint8Array): boolean {
    const header = readPacketHeader(packet)
    const known = header.ok ? this.#deps.contents.get(header.value.id) : undefined
    if (known === undefined) return false
    const atS = (this.#deps.time.nowMs - this.#startedMs) / 1_000
    return this.#deps.tails.some(({ from, to, what, fromS, toS }) => {
      if (from !== known.from || to !== node || atS < fromS || atS > toS) return false
      if (what === 'large') return packet.length > LARGE_BYTES
      if (what === 'all but heads') return !known.items.has('heads')
      return known.items.has(what)
    })
  }

  #answer(line: Line, packet: Uint8Array, outcome: 'stored' | 'delivered'): void {
    this.lies += 1
    const header = readPacketHeader(packet)
    if (!header.ok) return
    this.#give(line, { type: 'answer', answers: [{ packet: header.value.id, outcomes: [{ outcome }] }] })
  }

  #forge(line: Line): void {
    const { dice, temper } = this.#deps
    const reasons = temper.finalGoodbyes ? REASONS : REASONS.filter((reason) => !FINAL.includes(reason))
    const reason = dice.one(reasons)
    const retryAfterMs = dice.pick(20_000)
    const packet = Buffer.from(Uint8Array.from({ length: 16 }, () => dice.pick(256))).toString('hex') as PacketId
    const frame = dice.one<Frame>([
      { type: 'notice', reason, retryAfterMs },
      { type: 'notice', reason: 'DUPLICATE_LOGIN', retryAfterMs },
      { type: 'notice', reason: null, retryAfterMs: 0 },
      { type: 'lost', count: 1 + dice.pick(9) },
      { type: 'drained' },
      { type: 'pong', number: 0 },
      { type: 'done', request: dice.pick(4), reason: null },
      { type: 'answer', answers: [{ packet, outcomes: [{ outcome: 'refused', reason: 'QUOTA_BYTES' }] }] },
      { type: 'goodbye', reason, retryAfterMs },
    ])
    this.#give(line, frame)
    if (frame.type === 'goodbye') this.#end(line)
  }

  #junk(line: Line): void {
    const { dice } = this.#deps
    const whole = encodeFrame({ type: 'lost', count: 300 })
    line.give(
      dice.one([
        new Uint8Array(),
        Uint8Array.of(0x7f, 1, 2, 3),
        whole.subarray(0, whole.length - 1),
        Uint8Array.of(...whole, 0),
        new Uint8Array(ENORMOUS_BYTES).fill(0x12),
        Uint8Array.from({ length: 64 }, () => dice.pick(256)),
      ]),
    )
  }

  #flood(line: Line): void {
    const { dice } = this.#deps
    for (let n = 0; n < FLOOD_PACKETS && this.#kept.length > 0; n++) {
      const packet = dice.one(this.#kept)
      this.#give(line, { type: 'deliver', packets: [{ sequence: this.#sequence++, packet }] })
    }
  }

  #end(line: Line): void {
    this.closed(line)
    line.end()
  }

  /** Its disk is another one than it was, and all connections end. */
  #restore(to: Disk | undefined): void {
    this.lies += 1
    const lines = [...this.#lines.keys()]
    this.#lines.clear()
    if (to === undefined) {
      this.#relay.wipe()
      this.#relay.admit(this.#deps.mesh)
    } else this.#relay.restore(to)
    for (const line of lines) line.end()
  }

  #give(line: Line, frame: Frame): void {
    line.give(encodeFrame(frame))
  }

  #happens(share: number): boolean {
    if (share === 0 || this.#honest) return false
    const happens = this.#deps.dice.random() < share
    if (happens) this.lies += 1
    return happens
  }
}
