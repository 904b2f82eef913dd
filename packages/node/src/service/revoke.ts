import { Failure } from '@sealmesh/protocol/errors'
import type { MeshNode } from '@sealmesh/protocol/membership/mesh'
import { signRevocation } from '@sealmesh/protocol/wire/revocation'
import type { Handlers } from '../ipc/door.ts'
import { ownChain } from '../setup/identity.ts'
import type { Meta } from '../store/meta.ts'
import type { Relays } from '../uplink/relays.ts'
import { cutsOf, nodeNamed, type ServiceContext } from './context.ts'

type Context = ServiceContext & { meta: Meta; relays: Relays }

/** Removes a node: one record in the log, and the relay told to let it in no more. */
export function revokeHandlers(context: Context): Pick<Handlers, 'revoke'> {
  return {
    revoke: async ({ node: named, reason }) => {
      const mesh = context.log.mesh
      const node = nodeNamed(mesh, named)
      if (mesh.nodes.get(context.node)?.admin !== true)
        throw new Failure('NOT_ADMIN', 'Only an admin node removes others.')
      const cuts = await cutsOf(context, context.documents.names(), [node.id])
      const record = await context.log.append(
        { type: 'revoke', node: node.id, reason, cuts },
        { type: 'node', node: context.node },
        context.signKey,
      )
      await tellRelayOfRevoked(context, [node])
      return { node: node.name, record: record.hash }
    },
  }
}

/**
 * Called for a new removal, and for all of them whenever the relay is reached: it may have been away, wiped or
 * restored. Nodes obey the log meanwhile; what the relay adds is that a removed node cannot even connect. Never rejects.
 */
export async function tellRelayOfRevoked(
  context: Context,
  nodes: readonly MeshNode[] = [...context.log.mesh.nodes.values()].filter((node) => node.revocations.length > 0),
): Promise<void> {
  const mesh = context.log.mesh
  if (mesh.nodes.get(context.node)?.admin !== true) return
  try {
    const chain = await ownChain(context.meta)
    for (const { loginKey, signKey, admin } of nodes) {
      const draft = { mesh: mesh.id, loginKey, adminKey: admin ? signKey : null, chain }
      await context.relays.revoke(signRevocation(draft, context.signKey, context.sodium))
    }
  } catch (error) {
    context.logger.warn({ err: error }, 'the relay was not told of a removal: it is told when it is reached again')
  }
}
