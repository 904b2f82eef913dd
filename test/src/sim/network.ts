import type { Dialled, DialEvents } from '@sealmesh/node/uplink/dial'
import type { Dice } from '@sealmesh/protocol/test-dice'
import { decodeFrame, encodeFrame, type Frame } from '@sealmesh/protocol/wire/frame'
import type { Client } from '../relay/simulated-relay.ts'
import type { Process } from './machine.ts'
import type { RelayHost } from './relay-host.ts'
import type { Timeline } from './timeline.ts'

const RETRANSMIT_MS = 200
const RETRANSMITS_MAX = 4

export interface LinkDeps {
  readonly time: Timeline
  readonly dice: Dice
  readonly delayMs: readonly [number, number]
  readonly loss: () => number
}

/**
 * One direction between one node's machine and the relay's. What a connection sends arrives in its order, as with TCP:
 * a loss is a wait that holds up what is behind it, and a cut one that lasts until it heals.
 */
export class Direction {
  #cut = false
  readonly #deps: LinkDeps
  #waiting: (() => void)[] = []

  constructor(deps: LinkDeps) {
    this.#deps = deps
  }

  get isCut(): boolean {
    return this.#cut
  }

  set isCut(cut: boolean) {
    this.#cut = cut
    if (cut) return
    for (const carry of this.#waiting.splice(0)) carry()
  }

  /** `stream`: what is sent over one connection, and when the last of it arrives. */
  carry(stream: Stream, owner: Process | undefined, arrive: () => void): void {
    if (this.#cut) return void this.#waiting.push(() => this.carry(stream, owner, arrive))
    const { time, dice, delayMs, loss } = this.#deps
    let takesMs = delayMs[0] + dice.random() * (delayMs[1] - delayMs[0])
    for (let tries = 0; tries < RETRANSMITS_MAX && dice.random() < loss(); tries++)
      takesMs += RETRANSMIT_MS * 2 ** tries
    stream.lastMs = Math.max(stream.lastMs, time.nowMs + takesMs)
    time.after(stream.lastMs - time.nowMs, owner, () => {
      // Sent before the cut, and not across yet.
      if (this.#cut) this.#waiting.push(() => this.carry(stream, owner, arrive))
      else arrive()
    })
  }
}

interface Stream {
  lastMs: number
}

export interface Cables {
  readonly up: Direction
  readonly down: Direction
}

export interface ConnectionDeps {
  readonly process: Process
  readonly cables: Cables
  readonly relay: RelayHost
  readonly events: DialEvents
  readonly note: (what: string, bytes: number) => void
  readonly look: (bytes: Uint8Array) => void
}

/** One connection: each end knows what has reached it, and no more. */
export class Connection implements Dialled {
  readonly queuedBytes = 0
  readonly #deps: ConnectionDeps
  readonly #sent: Stream = { lastMs: 0 }
  readonly #heard: Stream = { lastMs: 0 }
  /** Of the relay's end; undefined before the dial has arrived and after it has hung up. */
  #client: Client | undefined
  #isOpenHere = true

  constructor(deps: ConnectionDeps) {
    this.#deps = deps
    this.#up(() => {
      const client = deps.relay.accept(this)
      if (client === undefined) this.#down(() => this.#endHere('RELAY_UNREACHABLE'))
      else this.#client = client
    })
  }

  get process(): Process {
    return this.#deps.process
  }

  send(frames: readonly Uint8Array[]): void {
    if (!this.#isOpenHere) return
    for (const frame of frames) {
      const bytes = Uint8Array.from(frame)
      this.#deps.look(bytes)
      this.#up(() => {
        this.#deps.note('up', bytes.length)
        const decoded = decodeFrame(bytes)
        if (this.#client?.open === true && decoded.ok) this.#deps.relay.hear(this.#client, decoded.value)
        else if (this.#deps.relay.isUp) this.#down(() => this.#endHere('RELAY_CLOSED')) // Nobody knows it here.
      })
    }
  }

  async close(): Promise<void> {
    this.destroy()
  }

  destroy(): void {
    this.#isOpenHere = false
    this.#up(() => this.#endThere())
  }

  /** Its process is gone, and the system says so for it. */
  abandoned(): void {
    this.#isOpenHere = false
    this.#up(() => this.#endThere())
  }

  /** Cut in the middle: both ends are told. */
  reset(): void {
    this.#endThere()
    this.#down(() => this.#endHere('RELAY_UNREACHABLE'))
  }

  /** From the relay. */
  give(frame: Frame): void {
    const bytes = encodeFrame(frame)
    this.#down(() => {
      if (!this.#isOpenHere) return
      this.#deps.note('down', bytes.length)
      if (this.process.alive) this.#deps.events.onFrame(bytes)
    })
  }

  /** The relay has hung up, or its process is gone and its system says so. */
  hungUp(): void {
    this.#client = undefined
    this.#down(() => this.#endHere('RELAY_CLOSED'))
  }

  /** Its machine is gone, and says nothing. */
  lost(): void {
    this.#client = undefined
  }

  #endHere(reason: 'RELAY_CLOSED' | 'RELAY_UNREACHABLE'): void {
    if (!this.#isOpenHere) return
    this.#isOpenHere = false
    this.#deps.events.onClosed(reason)
  }

  #endThere(): void {
    const client = this.#client
    this.#client = undefined
    if (client !== undefined) this.#deps.relay.dropped(client)
  }

  #up(arrive: () => void): void {
    this.#deps.cables.up.carry(this.#sent, undefined, arrive)
  }

  #down(arrive: () => void): void {
    this.#deps.cables.down.carry(this.#heard, this.process, arrive)
  }
}
