import { Failure } from '@sealmesh/protocol/errors'
import type { Message } from '@sealmesh/protocol/messages/message'
import type { AgentByOwner } from './agent-by-owner.ts'
import type { Schema } from './own-records.ts'
import type { DoorSession } from './session.ts'

/**
 * The call that an agent of this machine got for one vote or auction: taken out of its inbox, or one that was read
 * before in this run of the node. Throws ITEM_NOT_FOUND.
 */
export async function callOf<T>(
  { door, command }: DoorSession,
  { port: { name: as } }: AgentByOwner,
  type: 'vote-call' | 'auction-call',
  id: string,
  schema: Schema<T>,
): Promise<{ readonly message: Message; readonly call: T }> {
  const waiting = await door.call('messages.answer', { as, to: id, type })
  const { messages } = await door.call('messages.history', { as, to: as, type, correlation: id, limit: 1 })
  const message = waiting.message ?? messages[0]
  const read = schema.safeParse(message?.payload)
  if (message !== undefined && read.success) return { message, call: read.data }
  throw new Failure('ITEM_NOT_FOUND', `${as} was not asked, or that was before this node was started.`, {
    next: command(`inbox --as ${as}`),
  })
}
