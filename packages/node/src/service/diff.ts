import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { Failure } from '@sealmesh/protocol/errors'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { keyOf } from '@sealmesh/protocol/sync/peer-sync'
import { decodeSent } from '../documents/history-blocks.ts'
import type { Handlers } from '../ipc/door.ts'
import { agentName, type ServiceContext } from './context.ts'
import { machineNamed, PeerLook, type PeerSources } from './peers.ts'

type Row = MethodResult<'diff'>['documents'][number]

/** Keys that are named of one document, and what is read from disk to find them. */
const KEYS_MAX = 1_000
const KEYS_READ_BYTES_MAX = 16 * 1_048_576
const READ_AT_ONCE_BYTES = 262_144

/** In which documents this machine and another differ, by how much, and which of them they do not share. */
export function diffHandlers(context: ServiceContext & PeerSources): Pick<Handlers, 'diff'> {
  return {
    diff: async ({ peer, keys }) => {
      const mesh = context.log.mesh
      const node = machineNamed(mesh, peer)
      if (node.id === context.node)
        throw new Failure('NODE_UNKNOWN', 'That is this machine: name another one.', { next: 'sealmesh status' })
      const look = new PeerLook(context, context)
      const names = new Map(context.documents.names().map((name) => [keyOf(name), name]))
      for (const [key, { name }] of look.standings(node.id)) names.set(key, name)
      const documents: Row[] = []
      for (const name of names.values()) {
        const { standing, reads, toSend, toReceive, reason } = look.between(node, name)
        const shared = reads ? (standing?.bothRead === false ? 'sent only' : 'both') : 'no'
        documents.push({
          agent: agentName(mesh, name.agent),
          layer: name.layer,
          shared,
          theyLack: toSend,
          weLack: shared === 'both' ? toReceive : null,
          keys:
            keys && toSend > 0 && standing !== undefined ? await keysAfter(context, name, standing.receipted) : null,
          cause: reason.cause,
          text: reason.text,
          next: reason.next,
        })
      }
      documents.sort((a, b) => (`${a.agent}.${a.layer}` < `${b.agent}.${b.layer}` ? -1 : 1))
      return { peer: node.name, documents }
    },
  }
}

/** What the blocks write that the peer has not receipted: as far as this machine knows, there is no more. */
async function keysAfter(context: ServiceContext, name: DocumentName, after: VersionVector): Promise<Row['keys']> {
  const named = new Set<string>()
  let [vector, read, texts] = [after, 0, 0]
  for (;;) {
    const { blocks, reached, more } = await context.documents.after(name, vector, READ_AT_ONCE_BYTES)
    for (const bytes of blocks) {
      read += bytes.length
      const block = decodeSent(bytes, context.sodium)
      if (block === undefined) continue
      if (block.writes[0]?.type === 'text') texts += 1
      for (const key of keysOf(block)) if (named.size < KEYS_MAX) named.add(key)
    }
    const done = !more || blocks.length === 0
    if (done || named.size >= KEYS_MAX || read >= KEYS_READ_BYTES_MAX)
      return { names: [...named].toSorted(), textEdits: texts, truncated: !done }
    vector = reached
  }
}

const keysOf = ({ writes }: Block): string[] => writes.flatMap((write) => (write.type === 'text' ? [] : [write.key]))
