import type { ReceiptStore } from '../store/receipt-store.ts'
import type { Peer } from './peer.ts'

type Handing = Pick<Peer, 'node' | 'core' | 'handed'>

/** Writes down what the relay has answered for since the last time. */
export async function noteHanded(peers: Iterable<Handing>, store: Pick<ReceiptStore, 'write'>): Promise<void> {
  for (const { node, core, handed } of peers) {
    const vectors = core.handed(handed.values())
    handed.clear()
    if (vectors.length > 0) await store.write(node, vectors)
  }
}

/** The relay may have forgotten what it had answered for. */
export async function forgetHanded(peers: Iterable<Handing>, store: Pick<ReceiptStore, 'clear'>): Promise<void> {
  for (const { node, core, handed } of peers) {
    core.doubt('relay')
    handed.clear()
    await store.clear(node)
  }
}
