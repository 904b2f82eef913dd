import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { Failure } from '@sealmesh/protocol/errors'
import type { NodeId } from '@sealmesh/protocol/ids'
import { CUT_DOCUMENTS_MAX, LAPSE_AFTER_MS, PREKEY_ROTATE_MS, RECORD_BYTES_MAX } from '@sealmesh/protocol/limits'
import { readersOf, writersOf } from '@sealmesh/protocol/membership/access'
import { isLapsedFor } from '@sealmesh/protocol/membership/lapse'
import type { Mesh, MeshNode } from '@sealmesh/protocol/membership/mesh'
import type { Cut, SignedRecord } from '@sealmesh/protocol/membership/record'
import type { Handlers } from '../ipc/door.ts'
import type { LastHeard } from '../status/last-heard.ts'
import { cutsOf, memberNamed, type ServiceContext } from './context.ts'

/** What a record's cuts may take; the rest is for its header, signature and parents. */
const CUTS_BYTES_MAX = RECORD_BYTES_MAX - 8_192
/** At most: an agent, a layer's name, a count; an incarnation, a sequence, a hash. */
const CUT_BYTES = 128
const ENTRY_BYTES = 57

/**
 * A machine that lies in a drawer pins what everybody keeps for it: dominated writes, tombstones, old incarnations. So
 * after 90 days of silence an admin's node says that it has lapsed (docs/spec/02-membership.md §12), of the documents
 * that it holds itself. The machine stays a member, and comes back by itself.
 */
export function lapseHandlers(context: ServiceContext): Pick<Handlers, 'lapse'> {
  return {
    lapse: async ({ node: named }) => {
      const mesh = context.log.mesh
      const node = memberNamed(mesh, named)
      if (node.id === context.node) throw new Failure('NODE_UNKNOWN', 'A node does not declare itself silent.')
      if (mesh.nodes.get(context.node)?.admin !== true)
        throw new Failure('NOT_ADMIN', 'Only an admin node says that others have lapsed.')
      const record = await declareLapsed(context, node, sharedWith(context, node.id))
      return { node: node.name, record: record.hash }
    },
  }
}

/** In several records if one cannot hold all cuts: those of one silence add up. The last of them. */
async function declareLapsed(
  context: ServiceContext,
  node: MeshNode,
  names: readonly DocumentName[],
): Promise<SignedRecord> {
  const known = await cutsOf(context, names, [node.id])
  // Of some documents nothing that it wrote is here: then all of its words there are unheard.
  const cuts = names.map(
    (document): Cut => known.find((cut) => isSameName(cut.document, document)) ?? { document, vector: [] },
  )
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

/** Documents that are here and that the node may read or write: of others a lapse has nothing to say. */
function sharedWith({ documents, log: { mesh } }: ServiceContext, node: NodeId): DocumentName[] {
  return documents
    .names()
    .filter(
      ({ agent, layer }) =>
        readersOf(mesh, agent, layer).includes(node) || writersOf(mesh, agent, layer).includes(node),
    )
}

/** Those that have been silent for too long, as an admin's node. The caller has been in touch long enough to know. */
export async function lapseSilent(
  context: ServiceContext & { readonly lastHeard: Pick<LastHeard, 'of'> },
): Promise<void> {
  for (const node of silentNodes(context.log.mesh, context, context.now())) {
    // Another admin may have spoken, of other documents.
    const names = sharedWith(context, node.id).filter((name) => !isLapsedFor(context.log.mesh, node.id, name))
    if (names.length === 0) continue
    await declareLapsed(context, node, names)
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
    if (node.id === me || node.revocations.length > 0) return false
    const admittedMs = mesh.records.get(node.admittedBy)?.timeMs ?? 0
    const announcedMs = (node.prekeys[0]?.notBeforeMs ?? 0) + PREKEY_ROTATE_MS
    return nowMs - Math.max(admittedMs, announcedMs, lastHeard.of(node.id) ?? 0) > LAPSE_AFTER_MS
  })
}

const isSameName = (a: DocumentName, b: DocumentName): boolean => a.agent === b.agent && a.layer === b.layer
