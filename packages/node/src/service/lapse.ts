import { Failure } from '@sealmesh/protocol/errors'
import { parseId } from '@sealmesh/protocol/ids'
import { LAPSE_AFTER_MS, PREKEY_ROTATE_MS } from '@sealmesh/protocol/limits'
import { nodeByName } from '@sealmesh/protocol/membership/access'
import type { Mesh, MeshNode } from '@sealmesh/protocol/membership/mesh'
import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import type { Handlers } from '../ipc/door.ts'
import type { LastHeard } from '../status/last-heard.ts'
import { cutsOf, type ServiceContext } from './context.ts'

/**
 * A machine that lies in a drawer pins what everybody keeps for it: dominated writes, tombstones, old incarnations. So
 * after 90 days of silence an admin's node says that it has lapsed (docs/spec/02-membership.md §12). It stays a member.
 */
export function lapseHandlers(context: ServiceContext): Pick<Handlers, 'lapse'> {
  return {
    lapse: async ({ node: named }) => {
      const mesh = context.log.mesh
      const id = parseId('node', named)
      const node = id === undefined ? nodeByName(mesh, named) : mesh.nodes.get(id)
      if (node === undefined || node.revocations.length > 0)
        throw new Failure('NODE_UNKNOWN', `No node of this mesh is called "${named.slice(0, 64)}".`)
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

/** Those that have been silent for too long, as an admin's node. The caller has been in touch long enough to know. */
export async function lapseSilent(
  context: ServiceContext & { readonly lastHeard: Pick<LastHeard, 'of'> },
): Promise<void> {
  for (const node of silentNodes(context.log.mesh, context, context.now())) {
    await declareLapsed(context, node)
    context.logger.warn({ node: node.id }, 'a node has been silent for 90 days: it has lapsed, and nobody waits for it')
  }
}

/** A node announces a prekey every week, to all: whoever has heard none for so long heard it last before that. */
export function silentNodes(
  mesh: Mesh,
  { node: me, lastHeard }: { readonly node: ServiceContext['node']; readonly lastHeard: Pick<LastHeard, 'of'> },
  nowMs: number,
): MeshNode[] {
  if (mesh.nodes.get(me)?.admin !== true) return []
  return [...mesh.nodes.values()].filter((node) => {
    if (node.id === me || node.revocations.length > 0 || node.lapsed) return false
    const admittedMs = mesh.records.get(node.admittedBy)?.timeMs ?? 0
    const announcedMs = (node.prekeys[0]?.notBeforeMs ?? 0) + PREKEY_ROTATE_MS
    return nowMs - Math.max(admittedMs, announcedMs, lastHeard.of(node.id) ?? 0) > LAPSE_AFTER_MS
  })
}
