import type { Commit } from '@sealmesh/node/documents/documents'
import { TestMesh, type TestNode } from '@sealmesh/node/documents/fixture'
import type { dial } from '@sealmesh/node/uplink/dial'
import { compareText, toHex } from '@sealmesh/protocol/bytes'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { signBlock, verifyBlock } from '@sealmesh/protocol/crdt/block-codec'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { mintIncarnation, SALT_BYTES } from '@sealmesh/protocol/crdt/incarnation'
import { OwnMailboxes } from '@sealmesh/protocol/envelope/daily-mailboxes'
import type { BlockHash, NodeId, PacketId, RelayId } from '@sealmesh/protocol/ids'
import type { KeyPair, LoginPublicKey } from '@sealmesh/protocol/keys'
import { PREKEY_LIFE_MS } from '@sealmesh/protocol/limits'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { decodePayload } from '@sealmesh/protocol/sync/payload'
import { keyOf } from '@sealmesh/protocol/sync/peer-sync'
import { unwrapPayload } from '@sealmesh/protocol/sync/payload-form'
import { ZlibDeflater } from '@sealmesh/node/sync/zlib-deflater'
import { dice, type Dice } from '@sealmesh/protocol/test-dice'
import { type Line, LyingRelay } from './lying-relay.ts'
import { LyingServer } from './lying-server.ts'
import { tailsOf, type Temper, temperOf } from './lies.ts'
import { MemoryDatabase } from './memory-database.ts'
import { type Held, Oracle } from './oracle.ts'
import { SimulatedNode } from '../sim/simulated-node.ts'
import { VirtualTime } from './virtual-time.ts'

const LIES_S = 95
/** A round of heartbeats, the longest wait of a link, and what an unanswered packet takes. */
const MENDED_S = 200
/** After a goodbye that sounds final. */
const ASKED_AGAIN_S = 90 * 60
/** Longer than loopback takes. */
const SOCKETS_QUIET_MS = 3
const LAYERS = ['semantic', 'episodic'] as const

export interface RunResult {
  readonly seed: number
  readonly violations: readonly string[]
  readonly honest: boolean
  readonly lies: number
  readonly writes: number
  /** Findings of something that did not come through, heartbeats that had to show one, forks that were proved. */
  readonly withheld: number
  readonly due: number
  readonly forks: number
}

/** One seeded run of three nodes and a relay that lies, and then stops lying. */
export async function runSeed(seed: number, sodium: Sodium, over: 'lines' | 'sockets' = 'lines'): Promise<RunResult> {
  const time = new VirtualTime(over === 'sockets' ? SOCKETS_QUIET_MS : 0)
  time.install()
  const run = new Run(seed, sodium, time, over)
  try {
    return await run.go()
  } finally {
    await run.stop()
    time.uninstall()
  }
}

interface Player {
  readonly name: string
  readonly self: TestNode
  node: SimulatedNode
  readonly held: { readonly vectors: Map<string, { name: DocumentName; vector: VersionVector }> }
  /** The highest number that was read of each writer's counter. */
  readonly seen: Map<string, number>
}

class Run {
  readonly #seed: number
  readonly #sodium: Sodium
  readonly #time: VirtualTime
  readonly #temper: Temper
  readonly #over: 'lines' | 'sockets'
  #server: LyingServer | undefined
  readonly #dice: Dice
  readonly #mesh: TestMesh
  readonly #players: Player[] = []
  readonly #violations = new Set<string>()
  readonly #written = new Set<BlockHash>()
  readonly #contents = new Map<PacketId, { from: string; items: ReadonlySet<string> }>()
  readonly #heartbeats = new Map<PacketId, Held>()
  readonly #oracles = new Map<string, Oracle>()
  readonly #deflater = new ZlibDeflater()
  #relay!: LyingRelay
  #withheld = 0
  #forks = 0
  #writes = 0
  #ticking = true

  constructor(seed: number, sodium: Sodium, time: VirtualTime, over: 'lines' | 'sockets') {
    this.#seed = seed
    this.#sodium = sodium
    this.#time = time
    this.#temper = temperOf(seed)
    this.#over = over
    this.#dice = dice(seed)
    this.#mesh = new TestMesh(sodium)
  }

  async go(): Promise<RunResult> {
    await this.#begin()
    const { pick, random } = this.#dice
    for (let s = 0; s < LIES_S; ) {
      const step = 1 + pick(6)
      s += step
      await this.#time.pass(step * 1_000)
      if (random() < 0.6) await this.#write()
      if (random() < 0.05) await this.#dice.one(this.#players).node.signRecord()
      if (random() < 0.02) await this.#fork()
    }
    this.#relay.turnHonest()
    this.#server?.turnHonest()
    await this.#mend()
    await this.#judge()
    const due = [...this.#oracles.values()].reduce((sum, oracle) => sum + oracle.due, 0)
    const { lies } = this.#relay
    const honest = lies === 0 && this.#seed % 10 === 9
    return {
      seed: this.#seed,
      violations: [...this.#violations],
      honest,
      lies,
      writes: this.#writes,
      withheld: this.#withheld,
      due,
      forks: this.#forks,
    }
  }

  async stop(): Promise<void> {
    this.#ticking = false
    for (const { node } of this.#players) await node.stop()
    await this.#server?.stop()
  }

  async #begin(): Promise<void> {
    const { home, office, laptop, agent } = this.#mesh
    const sodium = this.#sodium
    const players = [
      { name: 'home', self: home, login: 12 },
      { name: 'office', self: office, login: 22 },
      { name: 'laptop', self: laptop, login: 32 },
    ].slice(0, this.#seed % 3 === 0 ? 2 : 3)
    for (const { self } of players.slice(1))
      for (const layer of LAYERS)
        this.#mesh.append(
          { type: 'grant', agent, layer, to: { type: 'node', node: self.id }, access: 'write' },
          'agent',
        )
    const random = (bytes: number) => this.#bytes(bytes)
    const logins = players.map(
      ({ login }) =>
        sodium.signKeys('login', new Uint8Array(32).fill(login)) as unknown as KeyPair<LoginPublicKey, 'login'>,
    )
    const own = logins.map(({ secretKey }) => new OwnMailboxes(secretKey, sodium))
    const prekeys = players.map(({ self }, at) => {
      const pair = sodium.sealKeys(random(32))
      const { nowMs } = this.#time
      const life = { notBeforeMs: nowMs, expiresMs: nowMs + PREKEY_LIFE_MS }
      this.#mesh.append(
        {
          type: 'prekey',
          node: self.id,
          publicKey: pair.publicKey,
          ...life,
          mailboxes: own[at]!.announced(life),
        },
        self,
      )
      return [pair]
    })
    const names = new Map(players.map(({ name }, at) => [toHex(logins[at]!.publicKey), name]))
    const mailboxes = own.flatMap((each) => [...each.ids(this.#time.nowMs)].slice(-2))
    this.#relay = new LyingRelay({
      sodium,
      mesh: this.#mesh.id,
      time: this.#time,
      dice: this.#dice,
      temper: this.#temper,
      tails: tailsOf(
        this.#temper,
        players.map(({ name }) => name),
        this.#dice,
      ),
      names,
      mailboxes,
      contents: this.#contents,
    })
    if (this.#over === 'sockets') this.#server = await LyingServer.start(this.#relay, this.#time, this.#dice)
    const tick = () => {
      if (!this.#ticking) return
      this.#relay.tick()
      this.#time.after(1_000, tick)
    }
    tick()
    for (const [at, { name, self }] of players.entries()) {
      const player: Player = { name, self, held: { vectors: new Map() }, seen: new Map(), node: undefined as never }
      this.#players.push(player)
      player.node = await SimulatedNode.start({
        sodium,
        mesh: this.#mesh,
        self,
        login: logins[at]!,
        mailboxes: own[at]!,
        prekeys: prekeys[at]!,
        database: new MemoryDatabase(() => void (this.#time.stirred += 1)),
        clock: {
          wallMs: () => this.#time.nowMs,
          monotonicMs: () => this.#time.nowMs,
          uptimeMs: () => this.#time.nowMs,
        },
        incarnationSalt: random(SALT_BYTES),
        random,
        dice: this.#dice.random,
        relay: this.#relay.id as RelayId,
        url: this.#server?.url ?? 'ws://127.0.0.1:1',
        dial: this.#server?.dial ?? this.#dial,
        onSealed: (packet, _, payload) => this.#sealed(player, packet, payload),
        onHeads: (from, { packet }) => this.#headsHeard(player, from, packet),
        onCommit: (commit) => this.#committed(player, commit),
        onNews: (from, { what }, healed) => {
          if (!healed) this.#withheld += 1
          if (!healed && this.#isHonest)
            this.#violates(`${name} accused ${this.#nameOf(from)} of ${what}: the relay was honest`)
        },
        onError: (fields, text) =>
          this.#violates(`${name} logged: ${text} ${String((fields as { err?: unknown }).err)}`),
      })
    }
  }

  get #isHonest(): boolean {
    return this.#seed % 10 === 9
  }

  /** Bytes pass through as they are, in order, each in a turn of its own. */
  readonly #dial: typeof dial = (_, events) => {
    let over = false
    const later = (run: () => void) => {
      this.#time.stirred += 1
      setImmediate(() => {
        this.#time.stirred += 1
        run()
      })
    }
    const line: Line = {
      node: undefined,
      give: (bytes) => later(() => over || events.onFrame(Uint8Array.from(bytes))),
      end: () =>
        later(() => {
          if (over) return
          over = true
          events.onClosed('RELAY_CLOSED')
        }),
    }
    const leave = () => {
      if (over) return
      over = true
      this.#relay.closed(line)
    }
    later(() => over || this.#relay.open(line))
    return {
      send: (frames) => {
        for (const frame of frames) later(() => over || this.#relay.hear(line, Uint8Array.from(frame)))
      },
      queuedBytes: 0,
      close: async () => leave(),
      destroy: leave,
    }
  }

  #sealed(player: Player, packet: PacketId, payload: Uint8Array): void {
    const unwrapped = unwrapPayload(payload, this.#deflater)
    const items = unwrapped.ok ? decodePayload(unwrapped.value) : unwrapped
    if (!items.ok) return this.#violates(`${player.name} sealed what cannot be read`)
    const kinds = new Set<string>(items.value.map(({ type }) => (type === 'pruned' ? 'blocks' : type)))
    this.#contents.set(packet, { from: player.name, items: kinds })
    if (kinds.has('heads')) this.#heartbeats.set(packet, this.#heldBy(player))
  }

  #heldBy({ held, node }: Player): Held {
    const { mesh } = node.log
    return { vectors: new Map(held.vectors), heads: mesh.heads, records: new Set(mesh.records.keys()) }
  }

  #headsHeard(player: Player, from: NodeId, packet: PacketId): void {
    const sent = this.#heartbeats.get(packet)
    const sender = this.#players.find(({ self }) => self.id === from)
    if (sent === undefined || sender === undefined)
      return this.#violates(`${player.name} heard a heartbeat that nobody sealed`)
    const key = `${sender.name} to ${player.name}`
    const oracle = this.#oracles.get(key) ?? new Oracle()
    this.#oracles.set(key, oracle)
    const due = oracle.heartbeat(this.#time.nowMs, sent, this.#heldBy(player))
    const found = player.node.withholdings.all().some((each) => each.from === from)
    if (due !== undefined && !found) this.#violates(`${key}: ${due} withheld, and not found`)
  }

  #committed(player: Player, { name, document, blocks, local }: Commit): void {
    player.held.vectors.set(keyOf(name), { name, vector: document.vector })
    if (local) for (const { hash } of blocks) this.#written.add(hash)
    for (const { hash } of blocks)
      if (!this.#written.has(hash)) this.#violates(`${player.name} took a block that nobody wrote`)
    for (const { name: writer } of this.#players) {
      const value = Number(document.read(`of-${writer}`)?.value ?? 0)
      const key = `${keyOf(name)} ${writer}`
      if (value < (player.seen.get(key) ?? 0)) this.#violates(`${player.name} went back to an older write of ${writer}`)
      player.seen.set(key, value)
    }
  }

  async #write(): Promise<void> {
    const { one, pick, random } = this.#dice
    const player = one(this.#players)
    const name: DocumentName = { agent: this.#mesh.agent, layer: one(LAYERS) }
    const large = random() < 0.1 ? 'x'.repeat(2_000 + pick(20_000)) : ''
    this.#writes += 1
    const intents = [{ type: 'set', key: `of-${player.name}`, value: `${this.#writes}` } as const]
    const shared = { type: 'set', key: `k${pick(5)}`, value: JSON.stringify(`${this.#writes}${large}`) } as const
    const written = player.node.documents.write(name, random() < 0.5 ? [...intents, shared] : intents)
    await this.#time.settle()
    await written
  }

  /** A member signs two blocks for one place and shows each to somebody else. */
  async #fork(): Promise<void> {
    if (this.#forks > 0) return
    const { home, agent } = this.#mesh
    const name: DocumentName = { agent, layer: 'semantic' }
    const incarnation = mintIncarnation(home.id, this.#bytes(SALT_BYTES), this.#sodium)
    const { mesh } = this.#players[0]!.node.log
    const draft = (value: string) =>
      signBlock(
        {
          mesh: mesh.id,
          document: name,
          author: home.id,
          incarnation,
          sequence: 1,
          previous: null,
          time: { wallMs: this.#time.nowMs, counter: 0 },
          logHeads: mesh.heads,
          floor: null,
          received: [],
          term: null,
          writes: [{ type: 'set', key: 'twice', value, replaces: [] }],
        },
        home.keys.secretKey,
        this.#sodium,
      )
    const blocks = ['"one"', '"other"'].map(draft)
    for (const { hash } of blocks) this.#written.add(hash)
    for (const [at, { node }] of this.#players.slice(0, 2).entries()) {
      const taken = node.documents.receive([blocks[at]!.bytes])
      await this.#time.settle()
      await taken
    }
    this.#forks += 1
  }

  #bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.#dice.pick(256))
  }

  async #mend(): Promise<void> {
    for (let s = 0; s < MENDED_S; s += 10) {
      await this.#time.pass(10_000)
      if (s >= 30 && this.#isMended()) return
    }
    if (!this.#players.some(({ node }) => node.linkState !== 'live')) return
    for (let s = 0; s < ASKED_AGAIN_S && !this.#isMended(); s += 60) await this.#time.pass(60_000)
    await this.#time.pass(60_000)
  }

  #isMended(): boolean {
    const [first, ...others] = this.#players.map((player) => sayOf(this.#heldBy(player)))
    return (
      others.every((each) => each === first) &&
      this.#players.every(
        ({ node }) =>
          node.linkState === 'live' &&
          node.withholdings.all().length === 0 &&
          node.sync
            .peers()
            .every(({ node: peer, view }) => !this.#isPlayed(peer) || (view.toSend === 0 && view.toReceive === 0)),
      )
    )
  }

  async #judge(): Promise<void> {
    const [first, ...others] = this.#players.map((player) => sayOf(this.#heldBy(player)))
    for (const [at, each] of others.entries())
      if (each !== first) this.#violates(`${this.#players[at + 1]!.name} does not hold what home holds`)
    for (const { name, node } of this.#players) {
      if (node.linkState !== 'live') this.#violates(`${name} has no relay: ${node.linkState}`)
      for (const { from, withheld } of node.withholdings.all())
        this.#violates(`${name} still misses ${withheld.what} of ${this.#nameOf(from)}`)
      for (const { node: peer, view } of node.sync.peers())
        if (this.#isPlayed(peer) && (view.toSend > 0 || view.toReceive !== 0))
          this.#violates(`${name} is not in step with ${this.#nameOf(peer)}: ${view.toSend}, ${view.toReceive}`)
      await this.#judgeForks(name, node)
    }
    for (const layer of LAYERS) {
      const digests = await Promise.all(
        this.#players.map(async ({ node }) => {
          const opened = node.documents.open({ agent: this.#mesh.agent, layer })
          await this.#time.settle()
          return toHex((await opened).digest())
        }),
      )
      if (new Set(digests).size > 1) this.#violates(`${layer} does not read the same everywhere`)
    }
  }

  async #judgeForks(name: string, node: SimulatedNode): Promise<void> {
    const all = node.forks.all()
    await this.#time.settle()
    const forks = await all
    if (forks.length !== this.#forks) this.#violates(`${name} proves ${forks.length} of ${this.#forks} forks`)
    for (const { blocks, author } of forks) {
      const signKey = node.log.mesh.nodes.get(author)?.signKey
      const proves =
        signKey !== undefined &&
        blocks.length === 2 &&
        blocks[0]!.hash !== blocks[1]!.hash &&
        blocks.every((block) => verifyBlock(block, signKey, this.#sodium))
      if (!proves) this.#violates(`${name} has no proof of a fork`)
    }
  }

  /** Laptop is a member also of runs in which it never shows up. */
  #isPlayed(node: NodeId): boolean {
    return this.#players.some(({ self }) => self.id === node)
  }

  #nameOf(node: NodeId): string {
    return this.#players.find(({ self }) => self.id === node)?.name ?? 'nobody'
  }

  #violates(what: string): void {
    this.#violations.add(what)
  }
}

const sayOf = ({ vectors, heads }: Held): string =>
  JSON.stringify([heads, [...vectors].map(([key, { vector }]) => JSON.stringify([key, vector])).toSorted(compareText)])
