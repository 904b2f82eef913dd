import type * as Y from 'yjs'
import type { IncarnationId } from '../ids.ts'
import { clientIdOf } from './block-codec.ts'
import type { Document } from './document.ts'

/**
 * Edits the document's own Y.Doc under the incarnation's client id and returns the update for a text block, or
 * undefined when nothing changed. The edit is in the text before its block is: when signing, storing or the edit
 * itself fails, the caller rebuilds the document.
 */
export function editText(
  document: Document,
  incarnation: IncarnationId,
  edit: (doc: Y.Doc) => void,
): Uint8Array | undefined {
  const { yDoc } = document
  let update: Uint8Array | undefined
  const keep = (bytes: Uint8Array) => {
    update = bytes
  }
  // After loading, never before: Yjs replaces a client id that it sees in somebody's update (DESIGN.md §15).
  yDoc.clientID = clientIdOf(incarnation)
  yDoc.on('update', keep)
  try {
    yDoc.transact(() => edit(yDoc))
  } finally {
    yDoc.off('update', keep)
    yDoc.clientID = 0
  }
  if (update !== undefined) document.edited(update)
  return update
}
