import { Failure } from '@sealmesh/protocol/errors'
import { parseId } from '@sealmesh/protocol/ids'
import { nodeByName } from '@sealmesh/protocol/membership/access'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { signRevocation } from '@sealmesh/protocol/wire/revocation'
import type { Handlers } from '../ipc/door.ts'
import type { KeyStore } from '../keys/key-store.ts'
import { ownChain } from '../setup/identity.ts'
import type { Meta } from '../store/meta.ts'
import type { Relays } from '../uplink/relays.ts'
import type { ServiceContext } from './context.ts'

/** Removes a node: one record in the log, and the relay told to let it in no more. */
export function revokeHandlers(
  context: ServiceContext & { keys: KeyStore; meta: Meta; relays: Relays; sodium: Sodium },
): Pick<Handlers, 'revoke'> {
  return {
    revoke: async ({ node: named, reason }) => {
      const mesh = context.log.mesh
      const id = parseId('node', named)
      const node = id === undefined ? nodeByName(mesh, named) : mesh.nodes.get(id)
      if (node === undefined)
        throw new Failure('NODE_UNKNOWN', `No node of this mesh is called "${named.slice(0, 64)}".`)
      if (mesh.nodes.get(context.node)?.admin !== true)
        throw new Failure('NOT_ADMIN', 'Only an admin node removes others.')
      const cuts = await Promise.all(
        context.documents
          .names()
          .map(async (document) => ({ document, vector: await context.documents.vectorOf(document) })),
      )
      const record = await context.log.append(
        { type: 'revoke', node: node.id, reason, cuts },
        { type: 'node', node: context.node },
        context.signKey,
      )
      const word = signRevocation(
        {
          mesh: mesh.id,
          loginKey: node.loginKey,
          adminKey: node.admin ? node.signKey : null,
          chain: await ownChain(context.meta),
        },
        context.signKey,
        context.sodium,
      )
      // The log has it already, and every node obeys that; a relay that is away is told on the next removal or by its owner.
      await context.relays
        .revoke(word)
        .catch((error: unknown) => context.logger.warn({ err: error }, 'the relay was not told'))
      return { node: node.name, record: record.hash }
    },
  }
}
