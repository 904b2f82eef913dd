import type { DocumentId } from '@sealmesh/protocol/ids'
import type { Entry } from '@sealmesh/protocol/snapshots/image'
import type { PartName } from '@sealmesh/protocol/snapshots/sealed'
import { documentOfKey, TABLES } from '../store/keys.ts'
import { StandingStore } from '../store/standing-store.ts'
import type { Operation, Store } from '../store/store.ts'
import { isOfTables } from './image-of-home.ts'
import { invalid, type SnapshotReader } from './read-snapshot.ts'

/** One batch: what a store takes at once. */
const BATCH_BYTES = 1_048_576

const TABLES_OF = {
  records: [TABLES.record, TABLES.record + 1],
  documents: [TABLES.document, TABLES.record],
  diary: [TABLES.diary, TABLES.diary + 1],
} as const satisfies Partial<Record<PartName, readonly [number, number]>>

/** Entries of a part into a database, as they lay in the other one. Gives how many. */
export async function fillStore(
  snapshot: SnapshotReader,
  part: keyof typeof TABLES_OF,
  store: Store,
  wanted: (entry: Entry) => boolean,
  onProgress: (bytes: number) => void,
): Promise<number> {
  const [from, to] = TABLES_OF[part]
  let batch: Operation[] = []
  let [bytes, count] = [0, 0]
  const flush = async (): Promise<void> => {
    const operations = batch
    batch = []
    await store.commit(operations)
    onProgress(bytes)
    bytes = 0
  }
  for await (const entries of snapshot.entries(part))
    for (const entry of entries) {
      if (!isOfTables(entry.key, from, to)) throw invalid('something in it belongs nowhere')
      if (!wanted(entry)) continue
      batch.push({ type: 'put', ...entry })
      bytes += entry.key.length + entry.value.length
      count += 1
      if (bytes >= BATCH_BYTES) await flush()
    }
  await flush()
  return count
}

/**
 * What these documents were is not all that others have by now: they take others' word for it, and nobody has waited
 * for what is here (docs/spec/09-bases.md §6). Durable when it resolves.
 */
export async function markPartial(store: Store, documents: Iterable<DocumentId>): Promise<void> {
  const standings = await StandingStore.load(store)
  const marks = [...documents].flatMap((id) =>
    standings.put(id, { ...standings.of(id), partial: true, unawaited: true }),
  )
  for (let at = 0; at < marks.length; at += MARKS_AT_ONCE) await store.commit(marks.slice(at, at + MARKS_AT_ONCE))
}

const MARKS_AT_ONCE = 1_024

/** The documents that a store names. */
export async function documentsIn(store: Store): Promise<Set<DocumentId>> {
  const found = new Set<DocumentId>()
  const range = { from: Uint8Array.of(TABLES.document), to: Uint8Array.of(TABLES.document + 1) }
  for await (const { key } of store.examine(range)) found.add(documentOfKey(key))
  return found
}
