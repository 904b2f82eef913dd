import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Block } from '@sealmesh/protocol/crdt/block'
import { decodeBlock, documentIdOf, verifyBlock } from '@sealmesh/protocol/crdt/block-codec'
import type { Dot } from '@sealmesh/protocol/crdt/clock'
import { isIncarnationOf } from '@sealmesh/protocol/crdt/incarnation'
import { verifyPruned } from '@sealmesh/protocol/crdt/pruned'
import { blockOf, decodeRow } from '@sealmesh/protocol/crdt/row'
import type { DocumentId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Entry } from '@sealmesh/protocol/snapshots/image'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { documentOfKey, dotOfKey, dotOfPrunedKey, TABLES } from '../store/keys.ts'
import { invalid, type SnapshotReader } from './read-snapshot.ts'

export interface Verified {
  readonly mesh: Mesh
  readonly records: number
  readonly documents: number
  readonly blocks: number
  readonly diary: number
  readonly bytes: number
}

/** Signatures that are checked before others get a turn. */
const PER_TURN = 64

/**
 * Reads all of a snapshot and changes nothing: every piece against its hash, the whole against its node's signature,
 * every membership record, and every block against its author's. Throws SNAPSHOT_INVALID. `known`: a log that says more
 * than the one in it.
 */
export async function verifySnapshot(
  snapshot: SnapshotReader,
  sodium: Sodium,
  onProgress: (bytes: number) => void,
  known?: Mesh,
): Promise<Verified> {
  const { mesh: own, records } = await snapshot.log()
  const mesh = known ?? own
  snapshot.requireSignature(mesh)
  const documents = new Set<DocumentId>()
  let [blocks, bytes, diary, turn] = [0, 0, 0, 0]
  for await (const entries of snapshot.entries('home')) bytes += bytesOf(entries)
  for await (const entries of snapshot.entries('documents')) {
    for (const { key, value } of entries) {
      if (key[0] === TABLES.document) documents.add(documentOfKey(key))
      if (key[0] !== TABLES.block && key[0] !== TABLES.pruned) continue
      if (!isSigned(key, value, mesh, sodium)) throw invalid('a block in it is not signed by its author')
      blocks += 1
      if (++turn % PER_TURN === 0) await nextTurn()
    }
    bytes += bytesOf(entries)
    onProgress(bytes)
  }
  for await (const entries of snapshot.entries('diary')) {
    diary += entries.length
    bytes += bytesOf(entries)
    onProgress(bytes)
  }
  return { mesh, records: records.length, documents: documents.size, blocks, diary, bytes }
}

/** By its author, and what its key says; a row below a base stands for the block that it is of. */
export function isSigned(key: Uint8Array, value: Uint8Array, mesh: Mesh, sodium: Sodium): boolean {
  if (key[0] === TABLES.block) {
    const block = decodeBlock(value, sodium)
    if (!block.ok) return false
    const signKey = mesh.nodes.get(block.value.header.author)?.signKey
    return (
      signKey !== undefined &&
      isUnder(block.value, documentOfKey(key), dotOfKey(key), mesh, sodium) &&
      verifyBlock(block.value, signKey, sodium)
    )
  }
  const row = decodeRow(value, sodium)
  if (!row.ok) return false
  const block = blockOf(row.value)
  const signKey = mesh.nodes.get(block.header.author)?.signKey
  return (
    signKey !== undefined &&
    isUnder(block, documentOfKey(key), dotOfPrunedKey(key), mesh, sodium) &&
    verifyPruned(block, signKey, sodium)
  )
}

/** It lies where it belongs, in its own mesh, and its incarnation is one of its author's. */
function isUnder(
  { header, hash }: Pick<Block, 'header' | 'hash'>,
  document: DocumentId,
  dot: Dot,
  mesh: Mesh,
  sodium: Sodium,
): boolean {
  return (
    header.mesh === mesh.id &&
    hash === dot.hash &&
    header.sequence === dot.sequence &&
    header.incarnation === dot.incarnation &&
    documentIdOf(header.document, sodium) === document &&
    isIncarnationOf(header.incarnation, header.author, sodium)
  )
}

const bytesOf = (entries: readonly Entry[]): number =>
  entries.reduce((sum, { key, value }) => sum + key.length + value.length, 0)
