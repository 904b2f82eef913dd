import { Failure } from '@sealmesh/protocol/errors'
import type { MeshNode } from '@sealmesh/protocol/membership/mesh'
import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import type { Handlers } from '../ipc/door.ts'
import { cutsOf, memberNamed, type ServiceContext } from './context.ts'

/**
 * A machine that lies in a drawer pins what everybody keeps for it: dominated writes, tombstones, old incarnations. So
 * an admin may say that it has lapsed (docs/spec/02-membership.md §12). It stays a member.
 */
export function lapseHandlers(context: ServiceContext): Pick<Handlers, 'lapse'> {
  return {
    lapse: async ({ node: named }) => {
      const mesh = context.log.mesh
      const node = memberNamed(mesh, named)
      if (node.id === context.node) throw new Failure('NODE_UNKNOWN', 'A node does not declare itself silent.')
      if (mesh.nodes.get(context.node)?.admin !== true)
        throw new Failure('NOT_ADMIN', 'Only an admin node says that others have lapsed.')
      const record = await declareLapsed(context, node)
      return { node: node.name, record: record.hash }
    },
  }
}

async function declareLapsed(context: ServiceContext, node: MeshNode): Promise<SignedRecord> {
  const cuts = await cutsOf(context, context.documents.names(), [node.id])
  return context.log.append(
    { type: 'lapse', node: node.id, cuts },
    { type: 'node', node: context.node },
    context.signKey,
  )
}
