import { BlockStore } from '../store/block-store.ts'
import {
  asideKey,
  describeKey,
  digestOfClosedKey,
  documentOfKey,
  hashOfRecordKey,
  incarnationOfTipKey,
  TABLES,
  twinOfClosedKey,
} from '../store/keys.ts'
import type { Operation } from '../store/store.ts'
import { TipStore } from '../store/tip-store.ts'
import type { Finding, ScrubDeps } from './scrub.ts'

/** Entries that are no blocks: each has a second copy, or is made anew by what it was made from. */
export async function putRight(
  deps: ScrubDeps,
  ruined: readonly { key: Uint8Array; raw: Uint8Array }[],
): Promise<Finding[]> {
  if (ruined.length === 0) return []
  const { store } = deps.main
  const operations: Operation[] = []
  for (const { key, raw } of ruined)
    operations.push(
      { type: 'delete', key },
      { type: 'put', key: asideKey(key), value: raw },
      ...(await remade(deps, key)),
    )
  await store.commit(operations)
  await deps.main.reconcile()
  const findings: Finding[] = []
  let records = false
  for (const { key } of ruined) {
    const back = (await store.get(key).catch(() => undefined)) !== undefined
    const isRecord = key[0] === TABLES.record
    const isOnlyHere = ONLY_HERE.has(key[0] ?? 0)
    const isClosed = key[0] === TABLES.closed || key[0] === TABLES.closedTwin
    if (isClosed && !back) await deps.documents.closedLost(documentOfKey(key), digestOfClosedKey(key))
    records ||= isRecord && !back
    const state = back ? 'mended' : isRecord || isClosed ? 'asked' : isOnlyHere ? 'lost' : 'mended'
    findings.push({ what: describeKey(key), state })
  }
  if (records) deps.wantRecords()
  return findings
}

/** Nobody else has these, nor are they made from anything. */
const ONLY_HERE: ReadonlySet<number> = new Set([
  TABLES.meta,
  TABLES.folder,
  TABLES.leftOut,
  TABLES.agentToken,
  TABLES.letter,
  TABLES.letterOut,
  TABLES.letterTaken,
])

/** What memory or other entries still say; peers say their receipts again, and folders are compared without theirs. */
async function remade(
  { main, index, damage, record }: Pick<ScrubDeps, 'main' | 'index' | 'damage' | 'record'>,
  key: Uint8Array,
): Promise<readonly Operation[]> {
  switch (key[0]) {
    case TABLES.document: {
      const document = documentOfKey(key)
      const entry = index.get(document)
      return entry === undefined ? [] : index.put(document, entry)
    }
    // Without its note a start would take the pages for all there is.
    case TABLES.unpaged:
      return index.get(documentOfKey(key)) === undefined ? [] : [index.unpaged(documentOfKey(key))]
    case TABLES.record: {
      const value = record(hashOfRecordKey(key))
      return value === undefined ? [] : [{ type: 'put', key, value }]
    }
    case TABLES.damage:
      return [damage.entryOf(documentOfKey(key))]
    case TABLES.tips: {
      const document = documentOfKey(key)
      // Where the end itself is damaged, its own entry shows that.
      const vector = await new BlockStore(main.store).tips(document).catch(() => [])
      const incarnation = incarnationOfTipKey(key)
      return vector.some((dot) => dot.incarnation === incarnation)
        ? new TipStore(main.store).put(document, vector, [incarnation])
        : []
    }
    case TABLES.closed:
    case TABLES.closedTwin: {
      const value = await main.store.get(twinOfClosedKey(key)).catch(() => undefined)
      return value === undefined ? [] : [{ type: 'put', key, value }]
    }
    default:
      return []
  }
}
