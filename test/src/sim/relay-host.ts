import type { MeshId, RelayId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Frame } from '@sealmesh/protocol/wire/frame'
import { type Client, type Disk, SimulatedRelay } from '../relay/simulated-relay.ts'
import { BEGUN_WALL_MS } from './machine.ts'
import type { Connection } from './network.ts'
import type { Timeline } from './timeline.ts'

const TICK_MS = 1_000
/** What a relay that answers before its disk has it may lose. */
const WRITTEN_OUT_MS = 1_500
const PACKETS_MAX = 16

export interface RelayHostDeps {
  readonly sodium: Sodium
  readonly time: Timeline
  readonly mesh: MeshId
  readonly syncMs: () => number
  readonly skewMs: number
  /** Answers before it is durable, as a store without fsync does. */
  readonly answersEarly: boolean
}

/** The machine of the relay: its core, its disk that takes a while, and what becomes of both. */
export class RelayHost {
  readonly #deps: RelayHostDeps
  readonly #relay: SimulatedRelay
  readonly #connections = new Map<Client, Connection>()
  /** Of one turn: answers and packets share frames, as with the real driver. */
  #outgoing: { readonly connection: Connection; readonly frame: Frame }[] = []
  #diskIsDue = false
  /** With a crash everything that was under way in it is over. */
  #run = 0
  isUp = true

  constructor(deps: RelayHostDeps) {
    this.#deps = deps
    this.#relay = new SimulatedRelay(deps.sodium)
    this.#setClock()
    this.#relay.startClock()
    this.#relay.admit(deps.mesh)
    this.#tick()
  }

  get id(): RelayId {
    return this.#relay.state.relay
  }

  accept(connection: Connection): Client | undefined {
    if (!this.isUp) return undefined
    this.#setClock()
    const client = this.#relay.connect('192.0.2.1', {
      hear: (frame) => this.#outgoing.push({ connection, frame }),
      closed: () => {
        this.#connections.delete(client)
        this.#flush()
        connection.hungUp()
      },
    })
    this.#connections.set(client, connection)
    this.#diskSoon()
    return client
  }

  hear(client: Client, frame: Frame): void {
    this.#setClock()
    client.say(frame)
    this.#diskSoon()
  }

  dropped(client: Client): void {
    if (!this.#connections.delete(client)) return
    this.#setClock()
    this.#relay.drop(client)
    this.#diskSoon()
  }

  /** `cut`: with the power of its machine, so that nobody is told. */
  crash(cut: boolean): void {
    if (!this.isUp) return
    this.isUp = false
    this.#run += 1
    this.#diskIsDue = false
    if (cut) this.#relay.undoUnsynced()
    for (const connection of this.#connections.values()) {
      if (cut) connection.lost()
      else connection.hungUp()
    }
    this.#connections.clear()
    this.#setClock()
    this.#relay.crash()
  }

  start(): void {
    if (this.isUp) return
    this.isUp = true
    this.#setClock()
    this.#relay.startClock()
    this.#tick()
  }

  snapshot(): Disk {
    return this.#relay.snapshot()
  }

  /** Its owner has put back an older copy, and has given it a new generation as the runbook says. Call it while down. */
  restore(disk: Disk): void {
    this.#relay.restore(disk)
    this.#relay.renewGeneration()
  }

  wipe(): void {
    this.#relay.wipe()
    this.#relay.admit(this.#deps.mesh)
  }

  /** Bytes of every packet that it holds. */
  packets(): Iterable<Uint8Array> {
    return this.#relay.packets()
  }

  #tick(): void {
    const run = this.#run
    const tick = () => {
      if (run !== this.#run || !this.isUp) return
      this.#setClock()
      this.#relay.feed({ type: 'tick' })
      this.#diskSoon()
      this.#deps.time.after(TICK_MS, undefined, tick)
    }
    tick()
  }

  #setClock(): void {
    this.#relay.nowMs = Math.floor(BEGUN_WALL_MS + this.#deps.time.nowMs + this.#deps.skewMs)
  }

  #flush(): void {
    const outgoing = this.#outgoing
    this.#outgoing = []
    for (let at = 0; at < outgoing.length; at++) {
      const { connection, frame } = outgoing[at]!
      let last = frame
      for (let next = outgoing[at + 1]; next?.connection === connection; next = outgoing[at + 1]) {
        const both = joined(last, next.frame)
        if (both === undefined) break
        last = both
        at += 1
      }
      connection.give(last)
    }
  }

  #diskSoon(): void {
    this.#flush()
    if (this.#diskIsDue || !this.#relay.wantsDisk) return
    this.#diskIsDue = true
    const run = this.#run
    const { time, syncMs, answersEarly } = this.#deps
    time.after(syncMs(), undefined, () => {
      if (run !== this.#run) return
      this.#diskIsDue = false
      this.#setClock()
      this.#relay.finishReads()
      if (answersEarly) this.#relay.commitUnsynced(time.nowMs)
      else this.#relay.commit()
      this.#relay.syncBefore(time.nowMs - WRITTEN_OUT_MS)
      this.#diskSoon()
    })
  }
}

function joined(a: Frame, b: Frame): Frame | undefined {
  if (a.type === 'answer' && b.type === 'answer') return { ...a, answers: [...a.answers, ...b.answers] }
  if (a.type === 'deliver' && b.type === 'deliver' && a.packets.length < PACKETS_MAX)
    return { ...a, packets: [...a.packets, ...b.packets] }
  return undefined
}
