import { randomBytes } from 'node:crypto'
import { openRelayLink, type RelayLink } from '@sealmesh/node/uplink/relay-link'
import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import { BOX_BYTES, readPacketHeader } from '@sealmesh/protocol/envelope/header'
import { encodeHeader } from '@sealmesh/protocol/envelope/header-writer'
import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import type { MailboxId, MeshId, PacketId } from '@sealmesh/protocol/ids'
import { type KeyPair, type LoginPublicKey, NONCE_BYTES, type Secret, SEED_BYTES } from '@sealmesh/protocol/keys'
import { PADDING_FLOOR_BYTES } from '@sealmesh/protocol/limits'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { parseRelayAddress } from '@sealmesh/protocol/wire/address'
import { encodeTokenChain, issueToken } from '@sealmesh/protocol/wire/token'
import { until } from '../processes/wait.ts'

/**
 * One mesh of some senders and some readers, each at a relay of its own, that speak to relays directly. Packets carry
 * who sent them, to whom, and how manieth it is in their ids; their bodies are noise.
 */

const EXPIRY_MS = 24 * 60 * 60_000
const IN_FLIGHT = 16
const RECIPIENTS_MAX = 32

export interface Party {
  readonly keys: KeyPair<LoginPublicKey, 'login'>
  readonly secret: Uint8Array
  readonly mailbox: MailboxId
}

export class ClusterMesh {
  readonly sodium: Sodium
  readonly #mesh: MeshId
  readonly #root: Secret<'root'>

  constructor(sodium: Sodium) {
    this.sodium = sodium
    const root = sodium.signKeys('root', randomBytes(SEED_BYTES))
    this.#mesh = toHex(root.publicKey) as MeshId
    this.#root = root.secretKey
  }

  party(): Party {
    const pair = this.sodium.signKeys('login', randomBytes(SEED_BYTES))
    const secret = randomBytes(32)
    // The one place where this test makes a login key of a signing key: as the key store does.
    const keys = { publicKey: pair.publicKey as Uint8Array as LoginPublicKey, secretKey: pair.secretKey }
    return { keys, secret, mailbox: mailboxOf(secret, this.sodium) }
  }

  link(
    address: string,
    { keys, secret }: Party,
    onEvent: Parameters<typeof openRelayLink>[0]['onEvent'],
    claim?: string,
  ): RelayLink {
    const parsed = parseRelayAddress(address)
    if (!parsed.ok) throw new Error(`not a relay address: ${address}`)
    const draft = {
      mesh: this.#mesh,
      loginKey: keys.publicKey,
      adminKey: null,
      kind: 'node',
      mailbox: null,
      expiresMs: 0,
    } as const
    const token = encodeTokenChain([issueToken(draft, 'root', this.#root, this.sodium)])
    return openRelayLink({
      address: parsed.value,
      login: {
        mesh: this.#mesh,
        keys,
        token,
        ...(claim === undefined ? {} : { claim: { code: claim, rootKey: this.#root } }),
      },
      mailboxes: () => [secret],
      sodium: this.sodium,
      log: { info: () => undefined },
      generations: { read: () => undefined, write: () => undefined },
      onEvent,
    })
  }

  /** Lets the mesh in. */
  async introduce(address: string, claim: string): Promise<void> {
    let live = false
    const link = this.link(
      address,
      this.party(),
      ({ type }) => {
        if (type === 'live') live = true
      },
      claim,
    )
    await until('the relay lets it in', () => {
      if (link.status.state === 'refused') throw new Error(`refused: ${link.status.reason}`)
      return live
    })
    await link.close()
  }
}

/** Sends to all readers, in turn, with some packets in flight, until closed. */
export class Sender {
  readonly number: number
  /** What the cluster has answered with `stored`, and with `delivered`. */
  readonly stored = new Set<PacketId>()
  readonly delivered = new Set<PacketId>()
  refused = 0
  readonly #readers: readonly Party[]
  readonly #flying = new Set<PacketId>()
  readonly #link: RelayLink
  readonly #bytes: number
  readonly #inFlight: number
  #next = 1

  /** `inFlight` 0: it sends when it is told to (`send`). */
  constructor(
    mesh: ClusterMesh,
    address: string,
    number: number,
    readers: readonly Party[],
    { bytes = 1_024, inFlight = IN_FLIGHT, party = mesh.party() } = {},
  ) {
    this.number = number
    this.#inFlight = inFlight
    this.#readers = readers
    this.#bytes = bytes
    this.#link = mesh.link(address, party, (event) => {
      if (event.type === 'down') this.#flying.clear()
      if (event.type === 'answer') {
        this.#flying.delete(event.packet)
        for (const { outcome } of event.outcomes)
          if (outcome === 'stored') this.stored.add(event.packet)
          else if (outcome === 'delivered') this.delivered.add(event.packet)
          else this.refused += 1
      }
      if (event.type === 'live' || event.type === 'room' || event.type === 'answer') this.#fill()
    })
  }

  get isLive(): boolean {
    return this.#link.status.state === 'live'
  }

  get answered(): number {
    return this.stored.size + this.delivered.size
  }

  nudge(): void {
    this.#link.nudge()
  }

  async close(): Promise<void> {
    await this.#link.close()
  }

  /** One packet to the next reader. False when the link takes none now. */
  send(): boolean {
    const reader = this.#readers[this.#next % this.#readers.length]
    if (reader === undefined) return false
    const id = idOf(this.number, this.#next)
    const header = encodeHeader(id, Date.now() + EXPIRY_MS, [{ mailbox: reader.mailbox, box: randomBytes(BOX_BYTES) }])
    const body = Math.max(NONCE_BYTES + PADDING_FLOOR_BYTES + 16, this.#bytes - header.length)
    if (this.#link.send(Buffer.concat([header, randomBytes(body)])) !== 'sent') return false
    this.#next += 1
    this.#flying.add(id)
    return true
  }

  #fill(): void {
    while (this.#flying.size < this.#inFlight && this.send());
  }
}

/** One packet to each of so many mailboxes that nobody reads, from so few logins as may begin them. Resolves when all are stored. */
export async function fillMailboxes(mesh: ClusterMesh, address: string, count: number): Promise<number> {
  const BEGUN_BY_ONE = 2_048
  let stored = 0
  for (let begun = 0; begun < count; begun += BEGUN_BY_ONE) {
    const some = Math.min(BEGUN_BY_ONE, count - begun)
    const waiting: Uint8Array[] = []
    for (let at = 0; at < some; at += RECIPIENTS_MAX) {
      const boxes = Array.from({ length: Math.min(RECIPIENTS_MAX, some - at) }, () => ({
        mailbox: toHex(randomBytes(32)) as MailboxId,
        box: randomBytes(BOX_BYTES),
      })).sort((a, b) => (a.mailbox < b.mailbox ? -1 : 1))
      const header = encodeHeader(toHex(randomBytes(16)) as PacketId, Date.now() + EXPIRY_MS, boxes)
      waiting.push(Buffer.concat([header, randomBytes(NONCE_BYTES + PADDING_FLOOR_BYTES + 16)]))
    }
    const wanted = stored + some
    const fill = (): void => {
      for (let next = waiting[0]; next !== undefined && link.send(next) === 'sent'; next = waiting[0]) waiting.shift()
    }
    const link = mesh.link(address, mesh.party(), (event) => {
      if (event.type === 'answer') stored += event.outcomes.filter(({ outcome }) => outcome === 'stored').length
      if (event.type === 'live' || event.type === 'room' || event.type === 'answer') fill()
    })
    await until('the mailboxes are there', () => stored >= wanted, 60_000)
    await link.close()
  }
  return stored
}

/** Reads its mailbox and acknowledges, drops repeats as a node does, and looks at the order of the rest. */
export class Reader {
  readonly got = new Set<PacketId>()
  repeats = 0
  /** Packets that came for the first time after a later one of the same sender. */
  late = 0
  drained = false
  lost = 0
  isLive = false
  readonly #newest = new Map<number, number>()
  readonly #link: RelayLink

  constructor(mesh: ClusterMesh, address: string, party: Party) {
    this.#link = mesh.link(address, party, (event) => {
      if (event.type === 'live') this.isLive = true
      if (event.type === 'down') {
        this.isLive = false
        this.drained = false
      }
      if (event.type === 'drained') this.drained = true
      if (event.type === 'lost') this.lost += event.count
      if (event.type !== 'deliver') return
      const header = readPacketHeader(event.packet)
      if (!header.ok) throw new Error(`what came is not a packet: ${header.error.code}`)
      this.#take(header.value.id)
      event.acknowledge()
    })
  }

  nudge(): void {
    this.#link.nudge()
  }

  async close(): Promise<void> {
    await this.#link.close()
  }

  #take(id: PacketId): void {
    if (this.got.has(id)) return void (this.repeats += 1)
    this.got.add(id)
    const [sender, number] = partsOf(id)
    if ((this.#newest.get(sender) ?? 0) > number) this.late += 1
    else this.#newest.set(sender, number)
  }
}

const idOf = (sender: number, number: number): PacketId => {
  const bytes = randomBytes(16)
  bytes.writeUInt32BE(sender)
  bytes.writeUInt32BE(number, 4)
  return toHex(bytes) as PacketId
}

const partsOf = (id: PacketId): [number, number] => {
  const bytes = Buffer.from(fromHex(id))
  return [bytes.readUInt32BE(), bytes.readUInt32BE(4)]
}
