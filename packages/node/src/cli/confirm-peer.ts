import { Failure } from '@sealmesh/protocol/errors'
import { shellWord } from '../keys/modes.ts'
import { ask, requirePerson } from './ask.ts'
import { oneLine } from './printable.ts'
import type { DoorSession } from './session.ts'

/**
 * Asks before something is done to another machine for good. False when a person said no, and was told so. Throws
 * NODE_UNKNOWN, and USAGE where there is nobody to ask.
 */
export async function confirmPeer(
  session: DoorSession,
  node: string,
  { verb, what, question }: { verb: string; what: string; question: (name: string, state: string) => string },
): Promise<boolean> {
  const { peers } = await session.door.call('status', {})
  const peer = peers.find((each) => each.name === node || each.node === node)
  if (peer === undefined)
    throw new Failure('NODE_UNKNOWN', 'No other node of this mesh is called so.', { next: session.command('status') })
  requirePerson(session, what, `${verb} ${shellWord(node)} --yes`)
  if (await ask(session, question(oneLine(peer.name), oneLine(peer.state)))) return true
  session.output.say('nothing was changed')
  return false
}
