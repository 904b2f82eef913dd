import { agentMethods } from '@sealmesh/protocol/ipc/agent-methods'
import { decodeSend, encodeSent, FRAME_KINDS, isSoundSend, type SendHead } from '@sealmesh/protocol/ipc/compact'
import { frameOf } from '@sealmesh/agent/wire/frames'
import { type DoorContext, type ReadFrame, refuse, refuseParams } from '../ipc/dispatch.ts'
import { RPC_CODES } from '../ipc/rpc.ts'
import { framedText } from './core/payload.ts'
import type { Desk } from './desk.ts'
import type { Post } from './post.ts'
import type { Sent } from './seat.ts'

/** A `send` in a frame: the same call as in a line, and refused in the same words. */
export function framedSends({ desk, post }: { readonly desk: Desk; readonly post: Post }): ReadFrame {
  const call = (params: unknown, client: DoorContext): Sent | Promise<Sent> => {
    const { head, payload } = params as { head: SendHead; payload: string }
    return post.send(desk.caller(client, head.as, 'send').seat, head, payload)
  }
  return ({ kind, head, body }) => {
    const said = kind === FRAME_KINDS.send ? decodeSend(head) : undefined
    if (said === undefined) return refuse(null, RPC_CODES.REQUEST, 'USAGE', 'A node takes no such frame.')
    const { request } = said
    const id = request === 0 ? null : request
    if (!isSoundSend(said)) {
      const { error } = agentMethods.send.params.safeParse({ ...said, payload: null })
      if (error !== undefined) return refuseParams(id, error)
    }
    const payload = framedText(body)
    if (payload === undefined) return refuse(id, RPC_CODES.PARAMS, 'VALUE_INVALID', 'payload: This is not JSON.')
    const frame = (sent: unknown): string => frameOf(FRAME_KINDS.sent, encodeSent({ request, ...(sent as Sent) }), '')
    return { type: 'call', id: id ?? undefined, params: { head: said, payload }, call, frame }
  }
}
