import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { Failure } from '@sealmesh/protocol/errors'
import type { NodeId } from '@sealmesh/protocol/ids'
import { CUT_DOCUMENTS_MAX, RECORD_BYTES_MAX } from '@sealmesh/protocol/limits'
import { readersOf } from '@sealmesh/protocol/membership/access'
import { cutFor, isLapsedFor } from '@sealmesh/protocol/membership/lapse'
import type { MeshNode } from '@sealmesh/protocol/membership/mesh'
import type { Cut, SignedRecord } from '@sealmesh/protocol/membership/record'
import { mayHear, mayRead } from '@sealmesh/protocol/sync/recipients'
import type { Handlers } from '../ipc/door.ts'
import { agentName, cutsOf, memberNamed, type ServiceContext } from './context.ts'

/** What a record's cuts may take; the rest is for its header, signature and parents. */
const CUTS_BYTES_MAX = RECORD_BYTES_MAX - 8_192
/** At most: an agent, a layer's name, a count; an incarnation, a sequence, a hash. */
const CUT_BYTES = 128
const ENTRY_BYTES = 57

/**
 * A machine that lies in a drawer pins what everybody keeps for it: dominated writes, tombstones, old incarnations. So
 * an admin may say that it has lapsed (docs/spec/02-membership.md §12), of the documents that the admin's node holds
 * itself. The machine stays a member, and comes back by itself.
 */
export function lapseHandlers(context: ServiceContext): Pick<Handlers, 'lapse'> {
  return {
    lapse: async ({ node: named }) => {
      const mesh = context.log.mesh
      const node = memberNamed(mesh, named)
      if (node.id === context.node) throw new Failure('NODE_UNKNOWN', 'A node does not declare itself silent.')
      if (mesh.nodes.get(context.node)?.admin !== true)
        throw new Failure('NOT_ADMIN', 'Only an admin node says that others have lapsed.')
      // Of what it never read or wrote a lapse has nothing to say; nor of what this node does not read, and has not got.
      const ours = context.documents.names().filter((name) => mayRead(mesh, name, context.node))
      const names = ours.filter((name) => mayHear(mesh, name, node.id))
      for (const name of names) await refuseUnlessWhole(context, name, node.id)
      const record = await declareLapsed(context, node, names)
      return { node: node.name, record: record.hash }
    },
  }
}

/** A cut that leaves out what is missing here would make void what the node had sent to others, where there are any. */
async function refuseUnlessWhole(context: ServiceContext, name: DocumentName, node: NodeId): Promise<void> {
  const { documents, log } = context
  const readers = readersOf(log.mesh, name.agent, name.layer)
  const others = readers.filter((each) => each !== context.node && each !== node && !isLapsedFor(log.mesh, each, name))
  if (others.length === 0 || (await documents.isWhole(name))) return
  const text = `${agentName(log.mesh, name.agent)}.${name.layer}`
  throw new Failure('CORE_BUSY', `This machine does not have all of ${text}: what it lacks would be made void.`, {
    next: `see what is missing with sealmesh why ${agentName(log.mesh, name.agent)}, and try again once it is here`,
  })
}

/** In several records if one cannot hold all cuts: those of one silence add up. The last of them. */
async function declareLapsed(
  context: ServiceContext,
  node: MeshNode,
  names: readonly DocumentName[],
): Promise<SignedRecord> {
  const known = await cutsOf(context, names, [node.id])
  // Of some documents nothing that it wrote is here: then all of its words there are unheard.
  const cuts = names.map((document): Cut => cutFor(known, document) ?? { document, vector: [] })
  const sign = (part: readonly Cut[]) =>
    context.log.append(
      { type: 'lapse', node: node.id, cuts: part },
      { type: 'node', node: context.node },
      context.signKey,
    )
  let part: Cut[] = []
  let bytes = 0
  for (const cut of cuts) {
    const more = CUT_BYTES + ENTRY_BYTES * cut.vector.length
    if (part.length > 0 && (bytes + more > CUTS_BYTES_MAX || part.length === CUT_DOCUMENTS_MAX)) {
      await sign(part)
      part = []
      bytes = 0
    }
    part.push(cut)
    bytes += more
  }
  return sign(part)
}
