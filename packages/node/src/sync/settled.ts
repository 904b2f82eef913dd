import { setTimeout as wait } from 'node:timers/promises'
import type { Peer } from './peer.ts'

/** About what a disk takes: turns of the loop, of which there are thousands meanwhile, would keep a core busy. */
const LOOK_AGAIN_MS = 2

/** Waits for what has been delivered until now. False when some of it could not be stored. */
export async function settled(peers: () => Iterable<Pick<Peer, 'inbox' | 'draining'>>): Promise<boolean> {
  for (const peer of peers()) {
    while (peer.draining) await wait(LOOK_AGAIN_MS)
    if (peer.inbox.length > 0) return false
  }
  return true
}
