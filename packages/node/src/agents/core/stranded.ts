import type { NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { isHost, mayGo } from './far.ts'
import { addressOf } from './letter.ts'
import type { Posted } from './outbox.ts'
import { mayAddress } from './who.ts'

export interface StrandedRules {
  readonly mesh: Mesh
  /** This machine. */
  readonly node: NodeId
  /** It was heard of lately. */
  readonly isThere: (node: NodeId) => boolean
}

/** Where a letter goes on: as before, nowhere, or to another machine, which may be this one. */
export type Way = { readonly type: 'stay' | 'end' | 'wait' } | { readonly type: 'move'; readonly node: NodeId }

/**
 * What becomes of a letter that is on its way to a machine (docs/spec/16-agents.md §6). A durable one that names no machine
 * goes to the new holder of its recipient, when the old machine may not be that agent any more, or is not heard and
 * somebody took over since it was sent. Until there is such a holder it waits, as long as another machine may become one.
 */
export function wayOf(posted: Posted, { mesh, node, isThere }: StrandedRules): Way {
  const recipient = mesh.agents.get(posted.agent)
  const mayStay = mayGo(mesh, posted.sender, node, posted.agent, posted.node)
  if (mayStay && (recipient?.term?.holder === posted.node || isThere(posted.node))) return STAY
  if (!posted.durable || recipient === undefined || !isSendersRight(posted, mesh, node)) return mayStay ? STAY : END
  const { to, sentAt } = addressOf(posted.letter)
  if (to.includes('@')) return mayStay ? STAY : END
  const { term } = recipient
  const isHeld = term !== null && term.holder !== posted.node && isHost(mesh, recipient, term.holder)
  if (isHeld && (!mayStay || term.timeMs > Date.parse(sentAt))) return { type: 'move', node: term.holder }
  if (mayStay) return STAY
  return recipient.hosts.some((host) => host !== posted.node && isHost(mesh, recipient, host)) ? WAIT : END
}

/** Of `mayGo`, all that does not speak of the machine that it goes to. */
function isSendersRight({ sender, agent }: Posted, mesh: Mesh, node: NodeId): boolean {
  const [one, other] = [mesh.agents.get(sender), mesh.agents.get(agent)]
  return one !== undefined && other !== undefined && isHost(mesh, one, node) && mayAddress(sender, other, 'granted')
}

const STAY: Way = { type: 'stay' }
const WAIT: Way = { type: 'wait' }
const END: Way = { type: 'end' }
