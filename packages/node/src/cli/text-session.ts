import { Failure } from '@sealmesh/protocol/errors'
import { parseUmr } from '@sealmesh/protocol/ids'
import type { Waiting } from '@sealmesh/protocol/ipc/acknowledging'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { DOOR_LINE_BYTES_MAX } from '@sealmesh/protocol/limits'
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { readSyncMessage, writeSyncStep1, writeUpdate } from 'y-protocols/sync'
import * as Y from 'yjs'
import type { DoorClient } from '../ipc/client.ts'
import { editsBetween } from '../text/text-edits.ts'

/** What a line holds besides the message: method, UMR, punctuation. */
const LINE_EXTRA_BYTES = 4_096

/**
 * One text as it was when the session began. `save` sends the difference from there, not from what is there by then:
 * what others wrote in the meantime stays, as Yjs merges it.
 */
export interface TextSession {
  readonly text: string
  /** Its `write` is the block that was written, or null when nothing had to change. */
  save(wanted: string, waiting?: Waiting): Promise<Pick<MethodResult<'text.sync'>, 'write' | 'acknowledged'>>
}

export async function openText(door: DoorClient, umr: string, newLayer = false): Promise<TextSession> {
  const id = parseUmr(umr)?.id
  if (id === undefined) throw new Failure('UMR_INVALID', 'That is not a UMR of three parts.')
  const doc = new Y.Doc()
  const { reply } = await door.call('text.sync', { umr, message: messageOf((encoder) => writeSyncStep1(encoder, doc)) })
  // The answer is step 2, which asks for nothing in return.
  if (reply !== null)
    readSyncMessage(
      decoding.createDecoder(Buffer.from(reply, 'base64')),
      encoding.createEncoder(),
      doc,
      'node',
      (error) => {
        throw error
      },
    )
  const text = doc.getText(id)
  return {
    text: text.toString(),
    async save(wanted, waiting = {}) {
      const updates: Uint8Array[] = []
      doc.on('update', (update: Uint8Array) => updates.push(update))
      const edits = editsBetween(text.toString(), wanted)
      doc.transact(() => {
        // From the end, so that earlier positions stay what they are.
        for (const { at, remove, insert } of edits.toReversed()) {
          if (remove > 0) text.delete(at, remove)
          if (insert !== '') text.insert(at, insert)
        }
      })
      // One transaction, one update: the node makes the edit its own, so a second one would stand on nothing.
      const [update] = updates
      if (update === undefined) return { write: null }
      const message = messageOf((encoder) => writeUpdate(encoder, update))
      if (message.length > DOOR_LINE_BYTES_MAX - LINE_EXTRA_BYTES)
        throw new Failure('VALUE_TOO_LARGE', 'The edit is larger than the node takes at once.', {
          next: 'make it in several smaller ones, or split the text',
        })
      return door.call('text.sync', { umr, message, newLayer, ...waiting })
    },
  }
}

function messageOf(write: (encoder: encoding.Encoder) => void): string {
  const encoder = encoding.createEncoder()
  write(encoder)
  return Buffer.from(encoding.toUint8Array(encoder)).toString('base64')
}
