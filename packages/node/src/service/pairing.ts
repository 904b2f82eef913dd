import { Failure } from '@sealmesh/protocol/errors'
import type { MeshId, NodeId } from '@sealmesh/protocol/ids'
import { checkpointOf } from '@sealmesh/protocol/membership/checkpoint'
import type { NodeIdentity } from '@sealmesh/protocol/membership/record'
import type { Admission } from '@sealmesh/protocol/pairing/admission'
import { parseRelayAddress } from '@sealmesh/protocol/wire/address'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadRistretto } from '@sealmesh/sodium/ristretto'
import type { Logger } from 'pino'
import type { Handlers } from '../ipc/door.ts'
import type { KeyStore } from '../keys/key-store.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import { InviterDriver } from '../pairing/inviter-driver.ts'
import { extendToken, tokenForNode } from '../setup/identity.ts'
import type { Meta } from '../store/meta.ts'
import type { Relays } from '../uplink/relays.ts'

/** Lets another machine into the mesh: the methods of the local socket over the inviter's driver. */
export function pairingHandlers(
  inviter: InviterDriver,
): Pick<Handlers, 'pair.start' | 'pair.status' | 'pair.confirm' | 'pair.cancel'> {
  return {
    'pair.start': ({ autoConfirm, code }) => inviter.start({ autoConfirm, code }),
    'pair.status': () => inviter.view(),
    'pair.confirm': ({ words }) => inviter.confirm(words),
    'pair.cancel': () => inviter.cancel(),
  }
}

export interface InvitingDeps {
  readonly mesh: MeshId
  readonly node: NodeId
  readonly keys: KeyStore
  readonly log: LogKeeper
  readonly meta: Meta
  readonly relays: Relays
  readonly sodium: Sodium
  readonly random: (bytes: number) => Uint8Array
  readonly now: () => number
  readonly logger: Logger
}

export function openInviter(deps: InvitingDeps): InviterDriver {
  const { mesh, node, keys, log, meta, relays, sodium, random, now, logger } = deps
  return new InviterDriver({
    mesh,
    openMailbox: (secret) => relays.openGuestMailbox(secret),
    relayAddress: () => {
      const address = relays.address === undefined ? undefined : parseRelayAddress(relays.address)
      return address?.ok === true ? address.value : undefined
    },
    sodium,
    ristretto: loadRistretto,
    random,
    now,
    log: logger,
    enrol: async (draft) => {
      // Before the link is shown, not after somebody used it.
      if (log.mesh.nodes.get(node)?.admin !== true) throw new Failure('NOT_ADMIN', 'Only an admin node lets others in.')
      await relays.enrol(await extendToken(meta, keys, draft, sodium))
    },
    sendPacket: (packet) => relays.send(packet),
    admit: (identity) => admitNode(deps, identity),
  })
}

/** What the newcomer is given. Once its record is stored it is in, whatever else fails. */
export async function admitNode(
  deps: Pick<InvitingDeps, 'mesh' | 'node' | 'keys' | 'log' | 'meta' | 'sodium' | 'logger'>,
  identity: NodeIdentity,
): Promise<Admission> {
  const { mesh, node, keys, log, meta, sodium, logger } = deps
  const signer = { type: 'node', node } as const
  // The token goes the shorter way, with the answer.
  const admission = { type: 'admit', node: identity, admin: false, token: new Uint8Array() } as const
  await log.append(admission, signer, keys.sign.secretKey)
  // For the newcomer, which folds the same records. It does without: what tells it of a difference comes with the next.
  await log
    .append((now) => checkpointOf(now, sodium), signer, keys.sign.secretKey)
    .catch((error: unknown) => logger.warn({ err: error }, 'a node was admitted without a checkpoint'))
  return {
    records: log.after([]).map((record) => record.bytes),
    token: await tokenForNode(meta, keys, mesh, identity, false, sodium),
    relays: log.mesh.relays.map((relay) => relay.address),
  }
}
