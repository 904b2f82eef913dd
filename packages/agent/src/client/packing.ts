import type { AgentMethodInput } from '@sealmesh/protocol/ipc/agent-methods'
import {
  decodeDelivery,
  decodeSent,
  encodeSend,
  FRAME_KINDS,
  isSoundSend,
  type SendHead,
} from '@sealmesh/protocol/ipc/compact'
import type { Message } from '@sealmesh/protocol/messages/message'
import { byteString, type Frame, frameOf } from '../wire/frames.ts'
import type { Packing, Said } from '../wire/rpc-client.ts'

/** `send`, its answers and what is delivered as frames of `compact`; all else as JSON-RPC. */
export const agentPacking: Packing = { pack, unpack }

function pack(method: string, request: number, params: object): string | undefined {
  if (method !== 'send') return undefined
  const draft = params as AgentMethodInput<'send'>
  // Field by field: it is made for every message.
  const head: SendHead = {
    as: draft.as,
    request,
    to: draft.to,
    type: draft.type,
    priority: draft.priority ?? 1,
    id: draft.id,
    correlation: draft.correlation ?? null,
    parents: draft.parents ?? [],
    hops: draft.hops ?? 0,
    expiresMs: draft.expiresMs,
    durable: draft.durable ?? false,
  }
  // The node says what is the matter with it.
  if (!isSoundSend(head)) return undefined
  return frameOf(FRAME_KINDS.send, encodeSend(head), byteString(JSON.stringify(draft.payload) ?? ''))
}

function unpack({ kind, head, body }: Frame): Said | undefined {
  if (kind === FRAME_KINDS.sent) {
    const sent = decodeSent(head)
    if (sent === undefined) return undefined
    const { request: id, delivered, waiting, refused } = sent
    return { id, result: { id: sent.id, delivered, waiting, refused } }
  }
  if (kind !== FRAME_KINDS.message) return undefined
  try {
    const told = decodeDelivery(head, JSON.parse(body) as Message['payload'])
    return told && { method: 'message', params: told }
  } catch {
    return undefined
  }
}
