import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import { Document } from '@sealmesh/protocol/crdt/document'
import { Failure } from '@sealmesh/protocol/errors'
import type { BlockHash } from '@sealmesh/protocol/ids'
import { judgeWith } from '@sealmesh/protocol/membership/judge'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { ClosedSets } from '../documents/closed-sets.ts'
import { readDocument } from '../documents/stored-document.ts'
import type { BlockStore } from '../store/block-store.ts'
import type { DrillPace } from './drill-pace.ts'

/** Folds a document from what a store has of it; undefined where that is not whole. Reads only. */
export async function foldStored(
  from: { readonly blocks: BlockStore; readonly closed: ClosedSets; readonly sodium: Sodium; readonly pace: DrillPace },
  name: DocumentName,
  mesh: Mesh,
  nowMs: number,
  only?: ReadonlySet<BlockHash>,
): Promise<Document | undefined> {
  const { blocks, closed, sodium, pace } = from
  const id = documentIdOf(name, sodium)
  try {
    const floors = await closed.of(id)
    const { base, above } = await readDocument(blocks, id, sodium)
    const chosen = only === undefined ? above : above.filter(({ hash }) => only.has(hash))
    const judge = judgeWith(mesh)
    const document = await pace.through(Document.rebuilding(name, chosen, judge, nowMs, sodium, base, floors))
    return document.isDamaged ? undefined : document
  } catch (error) {
    if (error instanceof Failure && error.code === 'STORE_DAMAGED') return undefined
    throw error
  }
}
