import { equalBytes } from '@sealmesh/protocol/bytes'
import { mailboxOn, type OwnMailboxes } from '@sealmesh/protocol/envelope/daily-mailboxes'
import type { MailboxId, NodeId, RelayId } from '@sealmesh/protocol/ids'
import type { KeyPair, LoginPublicKey } from '@sealmesh/protocol/keys'
import { livePrekey } from '@sealmesh/protocol/membership/access'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { type DirectKey, directIdOf, directKeyOf } from './core/direct-key.ts'

export interface MembersDeps {
  readonly node: NodeId
  readonly login: KeyPair<LoginPublicKey, 'login'>
  readonly mailboxes: OwnMailboxes
  readonly mesh: () => Mesh
  readonly sodium: Sodium
  readonly now: () => number
}

/** Who may have a direct link with this node, by its own log as it is now. */
export class Members {
  readonly #deps: MembersDeps
  readonly login: KeyPair<LoginPublicKey, 'login'>
  readonly sodium: Sodium
  /** The founding record stays the same for as long as there is a mesh. */
  readonly key: DirectKey

  private constructor(deps: MembersDeps, key: DirectKey) {
    this.#deps = deps
    this.login = deps.login
    this.sodium = deps.sodium
    this.key = key
  }

  /** Undefined while the log has no founding record: then nobody could be told from a stranger. */
  static of(deps: MembersDeps): Members | undefined {
    const key = directKeyOf(deps.mesh(), deps.sodium)
    return key === undefined ? undefined : new Members(deps, key)
  }

  byLoginKey(loginKey: LoginPublicKey): NodeId | 'removed' | undefined {
    for (const { id, loginKey: known, revocations } of this.#deps.mesh().nodes.values())
      if (equalBytes(known, loginKey))
        return id === this.#deps.node ? undefined : revocations.length > 0 ? 'removed' : id
    return undefined
  }

  /** Whose challenge this is; `expected` where only one may answer. */
  byChallenge(
    { id, nonce }: { readonly id: RelayId; readonly nonce: Uint8Array },
    expected: NodeId | null,
  ): { readonly node: NodeId; readonly loginKey: LoginPublicKey } | undefined {
    for (const { id: node, loginKey, revocations } of this.#deps.mesh().nodes.values()) {
      if (node === this.#deps.node || revocations.length > 0 || (expected !== null && node !== expected)) continue
      if (directIdOf(this.key, loginKey, nonce, this.sodium) === id) return { node, loginKey }
    }
    return undefined
  }

  isOwnMailbox(mailbox: MailboxId): boolean {
    return this.#deps.mailboxes.ids(this.#deps.now()).has(mailbox)
  }

  /** Where packets for it go today; undefined when none can be sealed to it. */
  mailboxOf(node: NodeId): MailboxId | undefined {
    const nowMs = this.#deps.now()
    const known = this.#deps.mesh().nodes.get(node)
    const prekey = known === undefined ? undefined : livePrekey(known, nowMs)
    return prekey === undefined ? undefined : mailboxOn(prekey, nowMs)
  }
}
