import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Intent } from '@sealmesh/protocol/crdt/writer'
import { compareTimes } from '@sealmesh/protocol/crdt/hybrid-time'
import { Failure, type FailureCode } from '@sealmesh/protocol/errors'
import type { DocumentId } from '@sealmesh/protocol/ids'
import type { BlockStore } from '../store/block-store.ts'
import type { DamageBook } from '../store/damage-book.ts'
import type { DocumentIndex } from '../store/document-index.ts'
import type { Store } from '../store/store.ts'
import type { TipStore } from '../store/tip-store.ts'
import type { Documents } from './documents.ts'

const INTENTS_AT_ONCE = 256
/** What a mesh says to a node whose turn to write is over. */
const NOT_OURS: readonly FailureCode[] = ['NOT_A_WRITER', 'NOT_THE_HOLDER', 'FENCED', 'AGENT_UNKNOWN']

export interface AcceptedLoss {
  /** Blocks that were given up. */
  readonly missing: number
  /** Values behind them that this node has written again. */
  readonly rewritten: number
  /** Those that it may not write: their blocks are kept as evidence, like all behind the hole. */
  readonly unwritten: number
}

/**
 * A document goes on without blocks that nobody has. Blocks of the same incarnation behind them cannot be folded, for
 * an incarnation counts in chain order; their registers are written again as this node's own where nothing newer
 * stands. Edits of texts behind a hole are lost with it: an edit means nothing without what it was made on.
 */
export async function acceptLoss(
  parts: {
    readonly documents: Pick<Documents, 'write' | 'open'>
    readonly damage: DamageBook
    readonly index: DocumentIndex
    readonly store: Store
    readonly blocks: BlockStore
    readonly tips: TipStore
  },
  name: DocumentName,
  id: DocumentId,
  accepted: () => void,
): Promise<AcceptedLoss> {
  const { missing, behind } = await parts.damage.accept(id)
  const ends = await parts.blocks.tips(id)
  if (ends.length === 0) await parts.index.forget(id)
  else
    await parts.store.commit(
      parts.tips.put(
        id,
        ends,
        ends.map((dot) => dot.incarnation),
      ),
    )
  // Under a new incarnation: what was given up may lie in the present one.
  accepted()
  const document = await parts.documents.open(name)
  const latest = new Map<string, { intent: Intent; time: (typeof behind)[number]['header']['time'] }>()
  for (const { header, writes } of behind) {
    for (const write of writes) {
      if (write.type === 'text') continue
      const before = latest.get(write.key)?.time ?? document.read(write.key)?.time
      if (before !== undefined && compareTimes(before, header.time) >= 0) continue
      const intent: Intent =
        write.type === 'set' ? { type: 'set', key: write.key, value: write.value } : { type: 'delete', key: write.key }
      latest.set(write.key, { intent, time: header.time })
    }
  }
  const intents = [...latest.values()].map(({ intent }) => intent)
  let rewritten = 0
  try {
    for (; rewritten < intents.length; rewritten += INTENTS_AT_ONCE)
      await parts.documents.write(name, intents.slice(rewritten, rewritten + INTENTS_AT_ONCE))
  } catch (error) {
    if (!(error instanceof Failure) || !NOT_OURS.includes(error.code)) throw error
  }
  rewritten = Math.min(rewritten, intents.length)
  return { missing, rewritten, unwritten: intents.length - rewritten }
}
