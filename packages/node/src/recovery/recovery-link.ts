import { setTimeout as wait } from 'node:timers/promises'
import { Failure } from '@sealmesh/protocol/errors'
import type { MeshId } from '@sealmesh/protocol/ids'
import type { KeyPair, SignPublicKey } from '@sealmesh/protocol/keys'
import { type RecoveryKeys, recoveryKeysOf } from '@sealmesh/protocol/recovery/recovery-keys'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { parseRelayAddress } from '@sealmesh/protocol/wire/address'
import { encodeTokenChain, issueToken } from '@sealmesh/protocol/wire/token'
import { recoveryToken } from '../setup/identity.ts'
import type { LinkEvent } from '../uplink/link-event.ts'
import { openRelayLink, type RelayLink } from '../uplink/relay-link.ts'

const LIVE_WAIT_MS = 20_000
const LOOK_MS = 25

export interface RecoveryLinkOptions {
  readonly address: string
  readonly mesh: MeshId
  readonly root: KeyPair<SignPublicKey, 'root'>
  /** For a relay that was wiped, and knows this mesh no more. */
  readonly claim?: string
  readonly sodium: Sodium
  /** As this machine's network wants it. */
  readonly open?: typeof openRelayLink
  readonly log: { info(fields: object, message: string): void }
}

/** A link to one relay under the login of the kit (docs/spec/11-recovery.md §2), which no machine has. */
export function openRecoveryLink(
  options: RecoveryLinkOptions,
  onEvent: (event: LinkEvent) => void,
): { readonly link: RelayLink; readonly keys: RecoveryKeys } {
  const { mesh, root, claim, sodium } = options
  const address = parseRelayAddress(options.address)
  if (!address.ok) throw new Failure('RELAY_UNREACHABLE', 'The address of a relay of this mesh cannot be read.')
  const keys = recoveryKeysOf(root.secretKey, sodium)
  const token = issueToken(recoveryToken(mesh, keys.login.publicKey), 'root', root.secretKey, sodium)
  const link = (options.open ?? openRelayLink)({
    address: address.value,
    login: {
      mesh,
      keys: keys.login,
      token: encodeTokenChain([token]),
      ...(claim === undefined ? {} : { claim: { code: claim, rootKey: root.secretKey } }),
    },
    mailboxes: () => [keys.mailboxSecret],
    sodium,
    log: options.log,
    generations: { read: () => undefined, write: () => undefined },
    onEvent,
  })
  return { link, keys }
}

/** One that is live, for its vault. Rejects with a `Failure`. */
export async function openVaultLink(options: RecoveryLinkOptions): Promise<RelayLink> {
  const { link } = openRecoveryLink(options, () => undefined)
  const giveUpAtMs = performance.now() + LIVE_WAIT_MS
  for (;;) {
    const { state, reason } = link.status
    if (state === 'live') return link
    if (state === 'refused' || performance.now() > giveUpAtMs) {
      await link.close()
      throw new Failure(reason ?? 'RELAY_UNREACHABLE', 'The relay of this mesh does not answer.')
    }
    await wait(LOOK_MS)
  }
}
