import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Peer } from './peer.ts'

/** Waits for what has been delivered until now. False when some of it could not be stored. */
export async function settled(peers: () => Iterable<Pick<Peer, 'inbox' | 'draining'>>): Promise<boolean> {
  for (const peer of peers()) {
    while (peer.draining) await nextTurn()
    if (peer.inbox.length > 0) return false
  }
  return true
}
