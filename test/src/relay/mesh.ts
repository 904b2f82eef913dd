import { createHash } from 'node:crypto'
import type { Login } from '@sealmesh/node/uplink/greeting'
import { concatBytes, toHex, utf8 } from '@sealmesh/protocol/bytes'
import { BOX_BYTES } from '@sealmesh/protocol/envelope/header'
import { encodeHeader } from '@sealmesh/protocol/envelope/header-writer'
import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import type { MailboxId, MeshId, PacketId } from '@sealmesh/protocol/ids'
import type { KeyPair, LoginPublicKey, SignPublicKey } from '@sealmesh/protocol/keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { encodeTokenChain, issueToken, type Token, type TokenDraft } from '@sealmesh/protocol/wire/token'

/** A mesh as a relay knows it: a root, admins, logins and packets whose bodies are noise. All from one seed. */
export interface Member {
  readonly keys: KeyPair<LoginPublicKey, 'login'>
  /** Its signing key, with which an admin issues tokens. */
  readonly sign: KeyPair<SignPublicKey, 'sign'>
  /** What opens its mailbox: one for all days. */
  readonly mailboxSecret: Uint8Array
  readonly mailbox: MailboxId
  readonly chain: readonly Token[]
  readonly login: Login
}

export class TestMesh {
  readonly id: MeshId
  readonly root: KeyPair<SignPublicKey, 'root'>
  readonly #sodium: Sodium
  readonly #seed: string
  #packets = 0

  constructor(sodium: Sodium, seed: string) {
    this.#sodium = sodium
    this.#seed = seed
    this.root = sodium.signKeys('root', this.#bytes('root', 32))
    this.id = toHex(this.root.publicKey) as MeshId
  }

  /** Let in by the root, or by an admin. */
  member(
    name: string,
    options: {
      admin?: boolean
      by?: Member
      expiresMs?: number
      invite?: MailboxId
      code?: string
      bare?: boolean
    } = {},
  ): Member {
    const login = this.#sodium.signKeys('login', this.#bytes(`login ${name}`, 32))
    const keys = { publicKey: login.publicKey as Uint8Array as LoginPublicKey, secretKey: login.secretKey }
    const sign = this.#sodium.signKeys('sign', this.#bytes(`sign ${name}`, 32))
    const draft: TokenDraft = {
      mesh: this.id,
      loginKey: keys.publicKey,
      adminKey: options.admin === true ? sign.publicKey : null,
      kind: options.invite === undefined ? 'node' : 'invite',
      mailbox: options.invite ?? null,
      expiresMs: options.expiresMs ?? 0,
    }
    const { by } = options
    const mailboxSecret = this.#bytes(`mailbox ${name}`, 32)
    const token =
      by === undefined
        ? issueToken(draft, 'root', this.root.secretKey, this.#sodium)
        : issueToken(draft, by.sign.publicKey, by.sign.secretKey, this.#sodium)
    const chain = [...(by?.chain ?? []), token]
    return {
      keys,
      sign,
      chain,
      mailboxSecret,
      mailbox: mailboxOf(mailboxSecret, this.#sodium),
      login: {
        mesh: this.id,
        keys,
        token: options.bare === true ? new Uint8Array() : encodeTokenChain(chain),
        ...(options.code === undefined ? {} : { claim: { code: options.code, rootKey: this.root.secretKey } }),
      },
    }
  }

  /** A packet that only its header tells from noise. */
  packet(to: readonly MailboxId[], expiresMs: number, bytes = 0): { id: PacketId; bytes: Uint8Array } {
    this.#packets += 1
    const id = toHex(this.#bytes(`packet ${this.#packets}`, 16)) as PacketId
    const recipients = to.toSorted().map((mailbox) => ({ mailbox, box: this.#bytes('box', BOX_BYTES) }))
    const header = encodeHeader(id, expiresMs, recipients)
    const body = new Uint8Array(Math.max(24 + 512 + 16, bytes - header.length)).fill(this.#packets % 251)
    return { id, bytes: concatBytes(header, body) }
  }

  #bytes(what: string, length: number): Uint8Array {
    let bytes: Uint8Array = new Uint8Array()
    for (let i = 0; bytes.length < length; i++)
      bytes = concatBytes(
        bytes,
        createHash('sha256')
          .update(utf8(`${this.#seed} ${what} ${i}`))
          .digest(),
      )
    return bytes.subarray(0, length)
  }
}
