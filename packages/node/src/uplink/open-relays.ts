import { redialMsMax } from '@sealmesh/protocol/failover/redial'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { Config } from '../config/schema.ts'
import type { KeyStore } from '../keys/key-store.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import { requireAddress } from './relay-list.ts'
import { Relays, type RelaysDeps } from './relays.ts'
import { WayBack } from './way-back.ts'
import { waysTo } from './ways.ts'

interface Parts extends Pick<RelaysDeps, 'meta' | 'sodium' | 'now' | 'log' | 'mesh'> {
  readonly wayBackPath: string
  readonly keys: KeyStore
  readonly membership: LogKeeper
  readonly node: NodeId
  /** The address that was given at this start, and a claim code for it, or for whichever relay asks for one. */
  readonly given: string | undefined
  readonly claim: string | undefined
  readonly config: () => Pick<Config, 'network'>
  readonly env: NodeJS.ProcessEnv
}

/** The relays under the keys of this home; nothing is dialled before `meshChanged`. */
export async function openRelays(parts: Parts): Promise<Relays> {
  const { wayBackPath, keys, membership, node, given, claim, config, env, ...rest } = parts
  const relay = given === undefined ? undefined : requireAddress(given).relay
  return new Relays({
    ...rest,
    waysTo: (address) => waysTo(address, config().network, env),
    wayBack: await WayBack.load(wayBackPath),
    login: keys.login,
    mailboxes: keys.mailboxes,
    redialMsMax: () => redialMsMax(membership.mesh, node),
    root: keys.root?.secretKey,
    claim: claim === undefined ? undefined : { code: claim, relay },
  })
}
