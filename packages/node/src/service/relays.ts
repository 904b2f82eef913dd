import { Failure } from '@sealmesh/protocol/errors'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { Secret } from '@sealmesh/protocol/keys'
import type { Handlers } from '../ipc/door.ts'
import type { KeyStore } from '../keys/key-store.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import { isSameList, type Listed, relayNamed, requireAddress, withRelay } from '../uplink/relay-list.ts'
import type { Relays } from '../uplink/relays.ts'
import type { ServiceContext } from './context.ts'

interface Naming {
  readonly log: LogKeeper
  readonly node: NodeId
  readonly signKey: Secret<'sign'>
}

/** The relays of the mesh: which there are, in which order, and where. */
export function relayHandlers(
  context: ServiceContext & { readonly relays: Relays; readonly keys: Pick<KeyStore, 'root'> },
): Pick<Handlers, 'relay.ls' | 'relay.add' | 'relay.rm' | 'relay.first'> {
  const { log, relays } = context
  const changed = async (list: readonly Listed[]) => {
    requireAdmin(context)
    const record = isSameList(list, log.mesh.relays) ? null : await nameRelays(list, context)
    return { relays: log.mesh.relays.map(({ address }) => address), record }
  }
  return {
    'relay.ls': () => ({
      relays: relays.status().map((each) => ({
        ...each,
        keepsLeases: log.mesh.witness?.relays.some((relay) => each.relay === `relay_${relay}`) === true,
      })),
    }),

    'relay.add': async ({ address, claim, first }) => {
      const list = withRelay(log.mesh.relays, address, first)
      requireAdmin(context)
      if (claim !== undefined && context.keys.root === undefined)
        throw new Failure(
          'ROOT_ELSEWHERE',
          'A claim needs the root key of this mesh, which does not lie on this machine.',
        )
      // Nobody is sent to a relay that does not let this mesh in.
      await relays.tryOut(requireAddress(address), claim)
      return changed(list)
    },

    'relay.rm': async ({ relay: named }) => {
      const { relay } = relayNamed(log.mesh.relays, named)
      if (log.mesh.relays.length === 1)
        throw new Failure('USAGE', 'It is the only relay of this mesh: without one, nothing travels.', {
          next: 'sealmesh relay add ADDRESS, and then remove this one',
        })
      if (log.mesh.witness?.relays.includes(relay) === true)
        throw new Failure('WITNESS_NEEDED', 'This relay keeps the leases of the mesh.', {
          next: 'sealmesh witness set RELAY, with another one, and then remove this one',
        })
      return changed(log.mesh.relays.filter((each) => each.relay !== relay))
    },

    'relay.first': async ({ relay: named }) => {
      const { address } = relayNamed(log.mesh.relays, named)
      return changed(withRelay(log.mesh.relays, address, true))
    },
  }
}

/**
 * What the owner gave on the command line becomes a record, so that every node of the mesh learns of it: a relay that the
 * log names has moved; another one comes first, and with `only` in place of all that were named. Throws NOT_ADMIN, but for
 * a relay that has moved: then this node alone goes by it until the log says so.
 */
export async function nameGiven(
  address: string,
  only: boolean,
  naming: Naming & { readonly relays: Pick<Relays, 'moved'> },
): Promise<void> {
  const { mesh } = naming.log
  const { relay } = requireAddress(address)
  const known = mesh.relays.find((each) => each.relay === relay)
  // It may have slept while the relay moved, and cannot hear of it from the log: no right is needed to find it again.
  if (known !== undefined && mesh.nodes.get(naming.node)?.admin !== true) {
    if (only) requireAdmin(naming)
    return naming.relays.moved(address, known.address)
  }
  const list = only ? [{ address, relay }] : withRelay(mesh.relays, address, known === undefined)
  if (!isSameList(list, mesh.relays)) await nameRelays(list, naming)
}

/** Throws NOT_ADMIN. The hash of the record. */
async function nameRelays(list: readonly Listed[], { log, node, signKey }: Naming): Promise<string> {
  const relays = list.map(({ address, relay }) => ({ address, relay }))
  const record = await log.append({ type: 'relay', relays }, { type: 'node', node }, signKey)
  return record.hash
}

function requireAdmin({ log, node }: Pick<ServiceContext, 'log' | 'node'>): void {
  if (log.mesh.nodes.get(node)?.admin !== true)
    throw new Failure('NOT_ADMIN', 'Only an admin node says which relays the mesh has.')
}
