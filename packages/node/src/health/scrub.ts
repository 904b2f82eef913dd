import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import type { RecordHash } from '@sealmesh/protocol/ids'
import type { Documents } from '../documents/documents.ts'
import type { DamageBook } from '../store/damage-book.ts'
import type { DocumentIndex } from '../store/document-index.ts'
import { TABLES } from '../store/keys.ts'
import type { Rebuilt } from '../store/level/rebuild.ts'
import type { Store } from '../store/store.ts'
import type { Surveyed } from '../store/survey.ts'
import { ENTRIES, scrubEntries } from './scrub-entries.ts'
import { scrubFiles } from './scrub-files.ts'

export interface Finding {
  /** In words of ours; keys are ids and numbers. */
  readonly what: string
  /**
   * - mended: it is as it should be again.
   * - asked: peers have been asked, and the damage book says when it is whole.
   * - lost: nobody else has it.
   */
  readonly state: 'mended' | 'asked' | 'lost'
}

/** A database that can be made anew while it is open. */
export interface Scrubbed {
  readonly directory: string
  readonly store: Store
  readonly rebuild: () => Promise<Rebuilt>
}

export interface ScrubDeps {
  readonly main: Scrubbed & { readonly reconcile: () => Promise<number> }
  readonly diary: Scrubbed
  readonly documents: Documents
  readonly index: DocumentIndex
  readonly damage: DamageBook
  readonly surveyed: Surveyed
  /** A membership record as it was signed, of those that are in memory. */
  readonly record: (hash: RecordHash) => Uint8Array | undefined
  /** Membership records were lost: ask for all that our heads do not cover. */
  readonly wantRecords: () => void
  /** Reads every key file again, and puts right what it can. Gives those that it cannot. */
  readonly checkKeys: () => Promise<readonly string[]>
}

/** In this order. */
export const SCRUB_PARTS = ['files', 'diary files', 'entries', 'diary entries', 'keys'] as const

/** All before it has been read: a scrub may go on behind it, in another process as well. */
export interface ScrubPosition {
  readonly part: (typeof SCRUB_PARTS)[number]
  /** The name of a file, or a key in hexadecimal. */
  readonly after: string
}

export interface ScrubStep {
  readonly bytes: number
  readonly findings: readonly Finding[]
  /** Absent while something that was found waits for the rest of what it belongs to. */
  readonly position?: ScrubPosition
}

/**
 * Reads everything that this node stores and compares it with every check there is: LevelDB's, ours, the hashes and
 * sequences of blocks, the ends that were noted, the index. What is found is put right, or asked for. Its caller
 * decides how fast it goes: it rests between two steps.
 */
export async function* scrub(deps: ScrubDeps, from?: ScrubPosition): AsyncGenerator<ScrubStep> {
  for (const part of SCRUB_PARTS.slice(from === undefined ? 0 : SCRUB_PARTS.indexOf(from.part))) {
    const after = part === from?.part ? from.after : ''
    switch (part) {
      case 'files':
        yield* scrubDatabase(deps.main, 'the database', part, after)
        break
      case 'diary files':
        yield* scrubDatabase(deps.diary, 'the diary', part, after)
        break
      case 'entries':
        yield* scrubEntries(deps, fromHex(after))
        break
      case 'diary entries':
        yield* scrubDiary(deps.diary.store)
        break
      case 'keys': {
        const lost = await deps.checkKeys()
        yield { bytes: 0, findings: lost.map((path) => ({ what: `the key file ${path} is damaged`, state: 'lost' })) }
      }
    }
  }
}

async function* scrubDatabase(
  database: Scrubbed,
  name: string,
  part: ScrubPosition['part'],
  after: string,
): AsyncGenerator<ScrubStep> {
  let places = 0
  for await (const file of scrubFiles(database.directory, after)) {
    places += file.places
    // What is damaged is rebuilt after the last file: until then a restart has to find it again.
    const step = { bytes: file.bytes, findings: [] }
    yield places > 0 ? step : { ...step, position: { part, after: file.name } }
  }
  if (places === 0) return
  const rebuilt = await database.rebuild()
  const what = `${places} damaged place${places === 1 ? '' : 's'} in the files of ${name}; they are kept in ${rebuilt.keptIn}`
  yield { bytes: 0, findings: [{ what, state: 'mended' }] }
}

/** Nobody else has the diary: what is damaged is named, and stays as it is. */
async function* scrubDiary(store: Store): AsyncGenerator<ScrubStep> {
  let bytes = 0
  for await (const { key, value, raw } of store.examine(ENTRIES)) {
    bytes += key.length + raw.length
    if (value !== undefined) continue
    if (key[0] === TABLES.diary) {
      const what = `an entry of the diary of agent ${toHex(key.subarray(1, 33))}`
      yield { bytes: 0, findings: [{ what, state: 'lost' }] }
    } else await store.commit([{ type: 'delete', key }])
  }
  yield { bytes, findings: [], position: { part: 'keys', after: '' } }
}
