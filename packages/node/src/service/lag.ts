import type { Standing } from '@sealmesh/protocol/sync/peer-sync'
import { decodeSent } from '../documents/history-blocks.ts'
import type { ServiceContext } from './context.ts'

/** Documents whose oldest unconfirmed block is looked up for one peer: each costs a read from disk. */
const LOOKED_UP_MAX = 64

export interface Lag {
  /** Documents of which the peer lacks something. */
  readonly documents: number
  /** When the oldest block was written that the peer has not receipted. */
  readonly oldestMs: number | null
}

/** How far behind a peer is, by its own word: only its receipts count. */
export async function lagOf(
  context: Pick<ServiceContext, 'documents' | 'sodium'>,
  standings: readonly Standing[],
): Promise<Lag> {
  const behind = standings.filter(({ toSend }) => toSend > 0)
  let oldestMs: number | null = null
  for (const { name, receipted } of behind.slice(0, LOOKED_UP_MAX)) {
    // One block at least, of the run with the oldest missing one.
    const { blocks } = await context.documents.after(name, receipted, 1)
    for (const bytes of blocks.slice(0, 1)) {
      const block = decodeSent(bytes, context.sodium)
      if (block === undefined) continue
      const { wallMs } = block.header.time
      oldestMs = oldestMs === null ? wallMs : Math.min(oldestMs, wallMs)
    }
  }
  return { documents: behind.length, oldestMs }
}
