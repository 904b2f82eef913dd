import { setTimeout as wait } from 'node:timers/promises'
import { Failure } from '@sealmesh/protocol/errors'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { RelayAddress } from '@sealmesh/protocol/wire/address'
import type { Ways } from './ways.ts'
import { type Login, openRelayLink } from './relay-link.ts'

/** Longer than connecting and greeting may take. */
const TRY_MS_MAX = 20_000
const LOOK_AGAIN_MS = 25

/** One login that reads no mailbox. Rejects with a `Failure` that has the relay's reason, or the network's. */
export async function tryRelay(
  address: RelayAddress,
  login: Login,
  {
    sodium,
    log,
    waysTo,
  }: {
    readonly sodium: Sodium
    readonly log: { info(fields: object, message: string): void }
    readonly waysTo: (address: RelayAddress) => Ways
  },
): Promise<void> {
  const link = openRelayLink({
    address,
    login,
    mailboxes: () => [],
    ways: () => waysTo(address),
    sodium,
    log,
    generations: { read: () => undefined, write: () => undefined },
    onEvent: () => undefined,
  })
  try {
    const giveUpAtMs = performance.now() + TRY_MS_MAX
    for (;;) {
      const { state, reason } = link.status
      if (state === 'live') return
      if (reason !== null || performance.now() >= giveUpAtMs)
        throw new Failure(reason ?? 'RELAY_UNREACHABLE', 'The relay at this address does not let this node in.')
      await wait(LOOK_AGAIN_MS)
    }
  } finally {
    await link.close()
  }
}
