import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { DocumentId, NodeId } from '@sealmesh/protocol/ids'
import { readersOf, writersOf } from '@sealmesh/protocol/membership/access'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Entry } from '@sealmesh/protocol/snapshots/image'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { type HomePart, readHomePart } from '../snapshots/home-part.ts'
import { isOfTables } from '../snapshots/image-of-home.ts'
import { invalid, type SnapshotReader } from '../snapshots/read-snapshot.ts'
import { verifySnapshot } from '../snapshots/verify-snapshot.ts'
import { linkUnder } from '../store/closed-store.ts'
import { readEntry } from '../store/document-index.ts'
import { documentOfKey, TABLES } from '../store/keys.ts'

/** A snapshot of which everything that is signed is signed by whom it names. */
export interface TrustedVault {
  readonly node: NodeId
  readonly snapshot: SnapshotReader
  readonly names: ReadonlyMap<DocumentId, DocumentName>
  readonly home: HomePart
}

/** Throws SNAPSHOT_INVALID. `mesh`: what all logs together say, for who is whose key. */
export async function verifyVault(
  node: NodeId,
  snapshot: SnapshotReader,
  mesh: Mesh,
  sodium: Sodium,
): Promise<TrustedVault> {
  await verifySnapshot(snapshot, sodium, () => undefined, mesh)
  const names = new Map<DocumentId, DocumentName>()
  for await (const entries of snapshot.entries('documents'))
    for (const { key, value } of entries) {
      if (!isOfTables(key, TABLES.document, TABLES.record)) throw invalid('something in it belongs nowhere')
      if (key[0] !== TABLES.document) continue
      const entry = readEntry(value)
      const id = documentOfKey(key)
      if (!entry.ok || documentIdOf(entry.value.name, sodium) !== id) throw invalid('a document in it is another one')
      names.set(id, entry.value.name)
    }
  return { node, snapshot, names, home: await readHomePart(snapshot, sodium) }
}

/**
 * From whom a document is taken as it lies in a snapshot: bases, and all that nobody signs, are its maker's word. Only
 * who may read and write the document has that: its agent's holder before others, then who says to be the latest.
 */
export function makersOf(vaults: readonly TrustedVault[], mesh: Mesh): Map<DocumentId, NodeId> {
  const makers = new Map<DocumentId, NodeId>()
  for (const { node, names } of vaults.toSorted((a, b) => b.snapshot.root.atMs - a.snapshot.root.atMs))
    for (const [id, name] of names) {
      const isHolder = mesh.agents.get(name.agent)?.term?.holder === node
      if (makers.has(id) && !isHolder) continue
      if (mayRead(mesh, node, name) && writersOf(mesh, name.agent, name.layer).includes(node)) makers.set(id, node)
    }
  return makers
}

/** What is stored as it lies there: a document of its maker, and of others' what blocks stand on, named by its hash. */
export function storedOf(
  { node, names }: TrustedVault,
  makers: ReadonlyMap<DocumentId, NodeId>,
  mesh: Mesh,
  sodium: Sodium,
): (entry: Entry) => boolean {
  return ({ key, value }) => {
    // How that machine stood to what others have is its own affair.
    if (key[0] === TABLES.caughtUp) return false
    const id = documentOfKey(key)
    if (makers.get(id) === node) return true
    if (key[0] !== TABLES.closed && key[0] !== TABLES.closedTwin) return false
    const name = names.get(id)
    return name !== undefined && mayRead(mesh, node, name) && linkUnder(key, value, sodium) !== undefined
  }
}

const mayRead = (mesh: Mesh, node: NodeId, { agent, layer }: DocumentName): boolean =>
  readersOf(mesh, agent, layer).includes(node)
