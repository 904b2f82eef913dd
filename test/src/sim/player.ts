import type { Commit } from '@sealmesh/node/documents/documents'
import type { TestMesh, TestNode } from '@sealmesh/node/documents/fixture'
import type { FailoverNews } from '@sealmesh/node/failover/failover'
import type { OwnMailboxes } from '@sealmesh/protocol/envelope/daily-mailboxes'
import type { KeyPair, LoginPublicKey, SealPublicKey } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Dice } from '@sealmesh/protocol/test-dice'
import { type Machine, Process } from './machine.ts'
import { type Cables, Connection } from './network.ts'
import type { RelayHost } from './relay-host.ts'
import { DiskImage, SimDisk } from './sim-disk.ts'
import { SimulatedNode } from './simulated-node.ts'
import type { Timeline } from './timeline.ts'

/** Who somebody is, whichever of their machines runs. */
export interface Identity {
  readonly name: string
  readonly self: TestNode
  readonly login: KeyPair<LoginPublicKey, 'login'>
  readonly mailboxes: OwnMailboxes
  readonly prekeys: KeyPair<SealPublicKey, 'seal'>[]
}

export interface PlayerDeps {
  readonly sodium: Sodium
  readonly time: Timeline
  readonly dice: Dice
  readonly mesh: TestMesh
  readonly relay: RelayHost
  readonly syncMs: () => number
  readonly disksAnswerEarly: boolean
  readonly batchesTear: boolean
  readonly saltOf: (identity: Identity) => Uint8Array
  readonly onCommit: (player: Player, commit: Commit) => void
  readonly onStarted: (player: Player, node: SimulatedNode) => void
  readonly onNews: (player: Player, news: FailoverNews) => void
  readonly onError: (player: Player, text: string, error: unknown) => void
  readonly note: (what: string, value: number) => void
  /** At everything that leaves a machine. */
  readonly look: (bytes: Uint8Array) => void
}

/** A machine with a home of the mesh on its disk, and what runs there at the moment. */
export class Player {
  readonly identity: Identity
  readonly machine: Machine
  readonly cables: Cables
  image: DiskImage
  /** Older states of its disk, for whoever keeps backups. */
  readonly backups: DiskImage[] = []
  /** Its disk was put back to an older state at some time: what it alone had may be gone. */
  wasPutBack = false
  node: SimulatedNode | undefined
  #process: Process | undefined
  #disk: SimDisk | undefined
  readonly #connections = new Set<Connection>()
  readonly #deps: PlayerDeps

  constructor(deps: PlayerDeps, identity: Identity, machine: Machine, cables: Cables, image = new DiskImage()) {
    this.#deps = deps
    this.identity = identity
    this.machine = machine
    this.cables = cables
    this.image = image
  }

  get name(): string {
    return this.identity.name
  }

  get isUp(): boolean {
    return this.#process !== undefined
  }

  /** An event of its program, if it is there to have one. */
  soon(ms: number, run: (node: SimulatedNode) => void): void {
    this.#deps.time.after(ms, this.#process, () => this.node && run(this.node))
  }

  start(): void {
    if (this.#process !== undefined) return
    const { time, sodium, mesh, relay, syncMs, disksAnswerEarly, dice, saltOf } = this.#deps
    const process = new Process(this.machine)
    this.#process = process
    const disk = new SimDisk({ time, process, image: this.image, syncMs, answersEarly: disksAnswerEarly })
    this.#disk = disk
    const { self, login, mailboxes, prekeys } = this.identity
    const random = (bytes: number) => drawn(bytes, dice)
    time.after(0, process, () => {
      SimulatedNode.start({
        sodium,
        mesh,
        self,
        login,
        mailboxes,
        prekeys,
        database: disk,
        clock: this.machine,
        incarnationSalt: saltOf(this.identity),
        random,
        dice: dice.random,
        relay: relay.id,
        url: 'ws://127.0.0.1:1',
        dial: (_, events) => {
          const { note, look } = this.#deps
          const connection = new Connection({ process, cables: this.cables, relay, events, note, look })
          this.#connections.add(connection)
          return connection
        },
        leases: { told: (_, news) => process.alive && this.#deps.onNews(this, news) },
        onSealed: () => {},
        onHeads: () => {},
        onNews: () => {},
        onCommit: (commit) => process.alive && this.#deps.onCommit(this, commit),
        onError: (fields, text) => this.#deps.onError(this, text, (fields as { err?: unknown }).err),
      }).then(
        (node) => {
          this.node = node
          this.#deps.onStarted(this, node)
        },
        // A disk that is full when it is needed: whoever looks after the process starts it again.
        () => {
          if (this.#process !== process) return
          this.#end()
          time.after(2_000, undefined, () => this.start())
        },
      )
    })
  }

  /** The process is killed; what it has given to its system stays. */
  kill(): void {
    for (const connection of this.#connections) connection.abandoned()
    this.#end()
  }

  /** As its owner stops it: it releases what it holds and says so, if anybody listens. */
  stop(then: () => void): void {
    const process = this.#process
    this.soon(0, (node) => {
      const ended = () => {
        if (this.#process !== process) return
        this.kill()
        then()
      }
      node.failover.close().then(ended, ended)
    })
  }

  /** The machine stops and begins anew: what was not durable is gone, and nobody is told. */
  cutPower(): void {
    this.#end()
    this.image.cutPower()
    this.machine.reboot()
  }

  resetConnections(): void {
    for (const connection of this.#connections) connection.reset()
  }

  #end(): void {
    if (this.#process === undefined) return
    this.#process.alive = false
    this.#process = undefined
    this.node = undefined
    this.#connections.clear()
    const { flying } = this.#disk ?? {}
    // A batch that was on its way is there or is not, whole either way.
    const { dice, batchesTear } = this.#deps
    if (flying !== undefined && !this.image.full && dice.random() < 0.5)
      this.image.apply(batchesTear ? flying.slice(0, dice.pick(flying.length + 1)) : flying)
    this.#disk = undefined
  }
}

function drawn(bytes: number, { random }: Dice): Uint8Array {
  const words = new Uint32Array(Math.ceil(bytes / 4))
  for (let at = 0; at < words.length; at++) words[at] = random() * 2 ** 32
  return new Uint8Array(words.buffer, 0, bytes).slice()
}
