import { toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import type { Documents } from '../documents/documents.ts'
import { BaseStore } from '../store/base-store.ts'
import { BlockStore } from '../store/block-store.ts'
import type { DamageBook } from '../store/damage-book.ts'
import type { DocumentIndex } from '../store/document-index.ts'
import { asideKey, describeKey, documentOfKey, dotOfKey, incarnationOfTipKey, TABLES } from '../store/keys.ts'
import type { Rebuilt } from '../store/level/rebuild.ts'
import { recoverIndex } from '../store/recover-index.ts'
import type { Operation, Store } from '../store/store.ts'
import type { Surveyed } from '../store/survey.ts'
import { TipStore } from '../store/tip-store.ts'
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
  /** Membership records were lost: ask for all that our heads do not cover. */
  readonly wantRecords: () => void
  /** Reads every key file again, and puts right what it can. Gives those that it cannot. */
  readonly checkKeys: () => Promise<readonly string[]>
}

export interface ScrubStep {
  readonly bytes: number
  readonly findings: readonly Finding[]
}

/**
 * Reads everything that this node stores and compares it with every check there is: LevelDB's, ours, the hashes and
 * sequences of blocks, the ends that were noted, the index. What is found is put right, or asked for. Its caller
 * decides how fast it goes: it rests between two steps.
 */
export async function* scrub(deps: ScrubDeps): AsyncGenerator<ScrubStep> {
  for (const [database, name] of [
    [deps.main, 'the database'],
    [deps.diary, 'the diary'],
  ] as const) {
    let places = 0
    for await (const file of scrubFiles(database.directory)) {
      places += file.places
      yield { bytes: file.bytes, findings: [] }
    }
    if (places === 0) continue
    const rebuilt = await database.rebuild()
    const what = `${places} damaged place${places === 1 ? '' : 's'} in the files of ${name}; they are kept in ${rebuilt.keptIn}`
    yield { bytes: 0, findings: [{ what, state: 'mended' }] }
  }
  yield* scrubEntries(deps)
  yield* scrubDiary(deps.diary.store)
  const lost = await deps.checkKeys()
  yield { bytes: 0, findings: lost.map((path) => ({ what: `the key file ${path} is damaged`, state: 'lost' })) }
}

const STEP_BYTES = 262_144
const ALL = { from: Uint8Array.of(0x01), to: Uint8Array.of(TABLES.aside) }

async function* scrubEntries(deps: ScrubDeps, again = false): AsyncGenerator<ScrubStep> {
  const { main, documents, index, damage, surveyed } = deps
  const suspects = new Set<DocumentId>()
  const walked = new Map<DocumentId, Walked>()
  const ruined: { key: Uint8Array; raw: Uint8Array }[] = []
  let bytes = 0
  let last: { document: DocumentId; incarnation: IncarnationId; sequence: number } | undefined
  try {
    for await (const { key, value, raw } of main.store.examine(ALL)) {
      bytes += key.length + raw.length
      if (key[0] === TABLES.block) {
        const document = documentOfKey(key)
        const { incarnation, sequence, hash } = dotOfKey(key)
        const of = walked.get(document) ?? { firsts: new Map(), ends: new Map() }
        walked.set(document, of)
        const goesOn = last?.document === document && last.incarnation === incarnation
        if (!goesOn) of.firsts.set(incarnation, sequence)
        else if (sequence !== last?.sequence && sequence !== (last?.sequence ?? 0) + 1) suspects.add(document)
        of.ends.set(incarnation, sequence)
        if (value === undefined || surveyed.decode(value)?.hash !== hash) suspects.add(document)
        last = { document, incarnation, sequence }
      } else if (value !== undefined) {
        // Whole.
      } else if (key[0] === TABLES.base || key[0] === TABLES.pruned) suspects.add(documentOfKey(key))
      else ruined.push({ key, raw })
      if (bytes < STEP_BYTES) continue
      yield { bytes, findings: [] }
      bytes = 0
    }
  } catch (error) {
    if (again || !(error instanceof Failure) || error.code !== 'STORE_DAMAGED') throw error
    // A part that LevelDB cannot read at all, though its checksums matched a moment ago.
    await main.rebuild()
    yield { bytes, findings: [{ what: 'a part of the database could not be read', state: 'mended' }] }
    return yield* scrubEntries(deps, true)
  }
  for (const document of await partsMissing(main.store, walked)) suspects.add(document)
  yield { bytes, findings: await putRight(deps, ruined) }
  if ([...walked.keys()].some((document) => index.get(document) === undefined)) {
    const recovered = await recoverIndex(surveyed, index)
    if (recovered > 0) yield { bytes: 0, findings: [{ what: `${recovered} entries of the index`, state: 'mended' }] }
  }
  for (const [document] of index.entries()) if (!walked.has(document)) suspects.add(document)
  for (const document of suspects) {
    const name = index.get(document)?.name
    if (name === undefined) continue
    const isKnown = damage.of(document).length > 0
    const { damaged, mended } = await documents.examine(name)
    const findings: Finding[] = []
    if (mended > 0)
      findings.push({ what: `${mended} blocks of document ${document} under changed keys`, state: 'mended' })
    if (damaged && !isKnown)
      for (const { incarnation, from, to } of damage.of(document)) {
        const which = from === to ? `block ${from}` : `blocks ${from} to ${to}`
        findings.push({ what: `${which} of incarnation ${incarnation} in document ${document}`, state: 'asked' })
      }
    yield { bytes: 0, findings }
  }
}

/** Of one document, by incarnation: the first sequence that is here and the last. */
interface Walked {
  readonly firsts: Map<IncarnationId, number>
  readonly ends: Map<IncarnationId, number>
}

/** Documents of which a beginning is missing that no base stands for, or an end that was here once. */
async function partsMissing(store: Store, walked: ReadonlyMap<DocumentId, Walked>): Promise<Set<DocumentId>> {
  const bases = new BaseStore(store)
  const missing = new Set<DocumentId>()
  const baseOf = async (document: DocumentId): Promise<ReadonlyMap<IncarnationId, number>> => {
    const tips = (await bases.read(document).catch(() => undefined))?.tips ?? []
    return new Map(tips.map(({ dot }) => [dot.incarnation, dot.sequence]))
  }
  for (const [document, { firsts }] of walked) {
    if ([...firsts.values()].every((first) => first === 1)) continue
    const base = await baseOf(document)
    for (const [incarnation, first] of firsts) if (first > (base.get(incarnation) ?? 0) + 1) missing.add(document)
  }
  for await (const { document, tips } of new TipStore(store).all()) {
    const ends = walked.get(document)?.ends
    if (tips.every((dot) => (ends?.get(dot.incarnation) ?? 0) >= dot.sequence)) continue
    const base = await baseOf(document)
    const endOf = (of: IncarnationId) => Math.max(ends?.get(of) ?? 0, base.get(of) ?? 0)
    if (tips.some((dot) => endOf(dot.incarnation) < dot.sequence)) missing.add(document)
  }
  return missing
}

/** Entries that are no blocks: each has a second copy, or is made anew by what it was made from. */
async function putRight(deps: ScrubDeps, ruined: readonly { key: Uint8Array; raw: Uint8Array }[]): Promise<Finding[]> {
  if (ruined.length === 0) return []
  const { store } = deps.main
  const operations: Operation[] = []
  for (const { key, raw } of ruined)
    operations.push({ type: 'delete', key }, { type: 'put', key: asideKey(key), value: raw }, ...(await remade(deps, key)))
  await store.commit(operations)
  await deps.main.reconcile()
  const findings: Finding[] = []
  let records = false
  for (const { key } of ruined) {
    const back = (await store.get(key).catch(() => undefined)) !== undefined
    const isRecord = key[0] === TABLES.record
    const isOnlyHere = key[0] === TABLES.meta || key[0] === TABLES.folder
    records ||= isRecord && !back
    const state = back ? 'mended' : isRecord ? 'asked' : isOnlyHere ? 'lost' : 'mended'
    findings.push({ what: describeKey(key), state })
  }
  if (records) deps.wantRecords()
  return findings
}

/** What memory or other entries still say; peers say their receipts again, and folders are compared without theirs. */
async function remade(
  { main, index, damage }: Pick<ScrubDeps, 'main' | 'index' | 'damage'>,
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
    default:
      return []
  }
}

/** Nobody else has the diary: what is damaged is named, and stays as it is. */
async function* scrubDiary(store: Store): AsyncGenerator<ScrubStep> {
  let bytes = 0
  for await (const { key, value, raw } of store.examine(ALL)) {
    bytes += key.length + raw.length
    if (value !== undefined) continue
    if (key[0] === TABLES.diary) {
      const what = `an entry of the diary of agent ${toHex(key.subarray(1, 33))}`
      yield { bytes: 0, findings: [{ what, state: 'lost' }] }
    } else await store.commit([{ type: 'delete', key }])
  }
  yield { bytes, findings: [] }
}
