import { Failure } from '@sealmesh/protocol/errors'
import type { Waiting } from '@sealmesh/protocol/ipc/acknowledging'
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { messageYjsSyncStep1, messageYjsSyncStep2, messageYjsUpdate, writeSyncStep2 } from 'y-protocols/sync'
import * as Y from 'yjs'
import type { Written } from '../documents/documents.ts'
import type { DoorContext } from '../ipc/dispatch.ts'
import type { Handlers } from '../ipc/door.ts'
import { editsBetween } from '../text/text-edits.ts'
import { acknowledged, type AcknowledgingContext, checkLevel } from './acknowledging.ts'
import { DIARY_LAYER, iso, resolveUmr, type ServiceContext, type Target } from './context.ts'

/**
 * Texts over the local socket. Editors speak y-protocols: step 1 is answered by step 2, an update is merged. What the
 * mesh stores is always written by this node's own Yjs client: a client's update is merged into a copy, and the
 * difference is made again here, as the smallest edit.
 */
export function textHandlers(context: AcknowledgingContext): Pick<Handlers, 'text.sync' | 'text.put'> {
  return {
    'text.sync': async ({ umr, message, newLayer, ...waiting }, client) => {
      const target = textTarget(context, umr)
      const decoder = decoding.createDecoder(Buffer.from(message, 'base64'))
      const { kind, body } = readMessage(decoder)
      const document = await context.documents.open(target.document)
      if (kind === messageYjsSyncStep1) {
        const encoder = encoding.createEncoder()
        writeSyncStep2(encoder, document.yDoc, body)
        return { reply: Buffer.from(encoding.toUint8Array(encoder)).toString('base64'), write: null }
      }
      context.layers.refuseSlip(target.agent, target.document.layer, newLayer === true)
      checkLevel(context, target.document, waiting)
      const merged = merge(document.yDoc, [body]).getText(target.umr.id).toString()
      const written = await putText(context, target, merged)
      return {
        reply: null,
        write: written?.block ?? null,
        ...(await waited(context, target, written, waiting, client)),
      }
    },

    'text.put': async ({ umr, text, newLayer, ...waiting }, client) => {
      const target = textTarget(context, umr)
      context.layers.refuseSlip(target.agent, target.document.layer, newLayer === true)
      checkLevel(context, target.document, waiting)
      const written = await putText(context, target, text)
      const answer = { umr: target.text, write: written?.block ?? '', at: iso(written?.time.wallMs ?? context.now()) }
      return { ...answer, ...(await waited(context, target, written, waiting, client)) }
    },
  }
}

const waited = (
  context: AcknowledgingContext,
  { document }: Target,
  written: Written | undefined,
  waiting: Waiting,
  client: DoorContext,
) => acknowledged(context, [{ document, writes: [written] }], waiting, client)

function textTarget(context: ServiceContext, umr: string): Target {
  const target = resolveUmr(context, umr)
  if (target.umr.region === DIARY_LAYER)
    throw new Failure('DIARY_PRIVATE', 'The diary holds entries, not shared texts.')
  return target
}

/** A copy of a Y.Doc with more updates in it. */
export function merge(from: Y.Doc, updates: readonly Uint8Array[]): Y.Doc {
  const copy = new Y.Doc()
  try {
    copy.transact(() => {
      Y.applyUpdate(copy, Y.encodeStateAsUpdate(from))
      for (const update of updates) Y.applyUpdate(copy, update)
    })
  } catch (cause) {
    throw new Failure('VALUE_INVALID', 'The edit is not a Yjs update.', { cause })
  }
  return copy
}

/** Brings a text to `wanted` by a small edit; undefined when it already reads so. */
export function putText(context: Pick<ServiceContext, 'documents'>, target: Target, wanted: string) {
  return context.documents.editText(target.document, (doc) => {
    const text = doc.getText(target.umr.id)
    // From the end, so that no edit moves the place of one that is still to come.
    for (const { at, remove, insert } of editsBetween(text.toString(), wanted).reverse()) {
      text.delete(at, remove)
      text.insert(at, insert)
    }
  })
}

function readMessage(decoder: decoding.Decoder): { kind: number; body: Uint8Array } {
  try {
    const kind = decoding.readVarUint(decoder)
    const body = decoding.readVarUint8Array(decoder)
    if (kind === messageYjsSyncStep1 || kind === messageYjsSyncStep2 || kind === messageYjsUpdate) return { kind, body }
  } catch {
    // Said below: a broken message and an unknown kind mean the same to the caller.
  }
  throw new Failure('VALUE_INVALID', 'The message is not a y-protocols sync message.')
}
