import { isName } from '../ids.ts'

/** How a message names things. Apart from the schemas, so that clients need not load these. */

/** What a machine has passed on already it knows by sender and id. */
export const MESSAGE_ID = /^[A-Za-z0-9_-]{1,64}$/
export const isMessageId = (text: string): boolean => MESSAGE_ID.test(text)

/** `*`: everybody that the sender may address, but for itself. `#topic`: whoever has subscribed. */
export const EVERYBODY = '*'

/** `name`, or `name@machine` where several machines may have it attached. */
export const isAgentAddress = (text: string): boolean => {
  const [name = '', node, ...more] = text.split('@')
  return more.length === 0 && isName(name) && (node === undefined || isName(node))
}

export const isRecipient = (text: string): boolean =>
  text === EVERYBODY || isName(text) || (text.startsWith('#') ? isName(text.slice(1)) : isAgentAddress(text))

/** The agent of `agent@machine`: one agent on two machines is one voter, one bidder, one worker. */
export const agentOf = (address: string): string => address.split('@', 1)[0] as string

/** Whether that sender was asked. Where one agent was, nobody else's answer counts, on whichever machine it acts by then. */
export const wasAsked = (to: string, sender: string): boolean =>
  to === EVERYBODY || to.startsWith('#') || agentOf(to) === agentOf(sender)
