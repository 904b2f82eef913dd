import { randomBytes } from 'node:crypto'
import { openRelayLink, type RelayLink } from '@sealmesh/node/uplink/relay-link'
import { toHex } from '@sealmesh/protocol/bytes'
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
 * A mesh of two logins that speaks to a relay directly: a sender that counts what the relay called stored, and a
 * reader that is away meanwhile. The packets' bodies are noise, which is all that a relay may know of any body.
 */

const IN_FLIGHT = 32
const EXPIRY_MS = 24 * 60 * 60_000

export class Mail {
  readonly #sodium: Sodium
  readonly #mesh: MeshId
  readonly #root: Secret<'root'>
  readonly #sender: KeyPair<LoginPublicKey, 'login'>
  readonly #reader: KeyPair<LoginPublicKey, 'login'>
  readonly #secret = randomBytes(32)
  readonly #mailbox: MailboxId
  /** Packets that the relay answered with `stored`: its promise. */
  readonly stored = new Set<PacketId>()
  /** Packets without an answer: either outcome is right. */
  readonly unanswered = new Set<PacketId>()
  /** Packets that the relay did not take, such as for its disk. */
  refused = 0
  #wake: () => void = () => {}

  constructor(sodium: Sodium) {
    this.#sodium = sodium
    const root = sodium.signKeys('root', randomBytes(SEED_BYTES))
    this.#mesh = toHex(root.publicKey) as MeshId
    this.#root = root.secretKey
    this.#sender = this.#loginKeys()
    this.#reader = this.#loginKeys()
    this.#mailbox = mailboxOf(this.#secret, sodium)
  }

  #loginKeys(): KeyPair<LoginPublicKey, 'login'> {
    const pair = this.#sodium.signKeys('login', randomBytes(SEED_BYTES))
    // The one place where this test makes a login key of a signing key: as the key store does.
    return { publicKey: pair.publicKey as Uint8Array as LoginPublicKey, secretKey: pair.secretKey }
  }

  /** Claims the relay for this mesh, and makes the reader known to it. */
  async introduce(address: string, claim: string): Promise<void> {
    await this.#visit(address, this.#sender, claim)
    await this.#visit(address, this.#reader, undefined)
  }

  async #visit(address: string, keys: KeyPair<LoginPublicKey, 'login'>, claim: string | undefined): Promise<void> {
    let live = false
    const link = this.#open(address, keys, claim, (event) => {
      if (event.type === 'live') live = true
    })
    await until('the relay lets it in', () => {
      if (link.status.state === 'refused') throw new Error(`refused: ${link.status.reason}`)
      return live
    })
    await link.close()
  }

  #open(
    address: string,
    keys: KeyPair<LoginPublicKey, 'login'>,
    claim: string | undefined,
    onEvent: Parameters<typeof openRelayLink>[0]['onEvent'],
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
    const token = encodeTokenChain([issueToken(draft, 'root', this.#root, this.#sodium)])
    const right = claim === undefined ? {} : { claim: { code: claim, rootKey: this.#root } }
    return openRelayLink({
      address: parsed.value,
      login: { mesh: this.#mesh, keys, token, ...right },
      mailboxes: () => (keys === this.#reader ? [this.#secret] : []),
      sodium: this.#sodium,
      log: { info: () => undefined },
      generations: { read: () => undefined, write: () => undefined },
      onEvent,
    })
  }

  /** Keeps packets in flight until closed; dials again by itself when the relay is gone. */
  send(address: string): { dialNow(): void; close(): Promise<void> } {
    const flying = new Set<PacketId>()
    const fill = () => {
      while (flying.size < IN_FLIGHT) {
        const { id, bytes } = this.#packet()
        if (link.send(bytes) !== 'sent') return
        flying.add(id)
        this.unanswered.add(id)
      }
    }
    const link = this.#open(address, this.#sender, undefined, (event) => {
      switch (event.type) {
        case 'live':
        case 'room':
          fill()
          break
        case 'answer':
          flying.delete(event.packet)
          this.unanswered.delete(event.packet)
          for (const { outcome } of event.outcomes) {
            if (outcome === 'stored') this.stored.add(event.packet)
            if (outcome === 'refused') this.refused += 1
          }
          fill()
          this.#wake()
          break
        case 'down':
          flying.clear()
          break
        default:
          break
      }
    })
    return { dialNow: () => link.nudge(), close: async () => await link.close() }
  }

  wasSent(packet: PacketId): boolean {
    return this.stored.has(packet) || this.unanswered.has(packet)
  }

  async reached(stored: number): Promise<void> {
    while (this.stored.size < stored)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
  }

  /** Drains the reader's mailbox: every packet and how often it was delivered. */
  async drain(address: string): Promise<ReadonlyMap<PacketId, number>> {
    const got = new Map<PacketId, number>()
    let drained = false
    const link = this.#open(address, this.#reader, undefined, (event) => {
      if (event.type === 'drained') drained = true
      if (event.type !== 'deliver') return
      const header = readPacketHeader(event.packet)
      if (!header.ok) throw new Error(`the relay delivered what is not a packet: ${header.error.code}`)
      got.set(header.value.id, (got.get(header.value.id) ?? 0) + 1)
      event.acknowledge()
    })
    await until('the mailbox is drained', () => drained)
    await link.close()
    return got
  }

  #packet(): { id: PacketId; bytes: Uint8Array } {
    const id = toHex(randomBytes(16)) as PacketId
    const recipients = [{ mailbox: this.#mailbox, box: randomBytes(BOX_BYTES) }]
    const header = encodeHeader(id, Date.now() + EXPIRY_MS, recipients)
    return { id, bytes: Buffer.concat([header, randomBytes(NONCE_BYTES + PADDING_FLOOR_BYTES + 16)]) }
  }
}
