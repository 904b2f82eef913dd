import { toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { DocumentId, IncarnationId } from '@sealmesh/protocol/ids'
import { BlockStore } from '../store/block-store.ts'
import { afterPrefix, documentOfKey, documentPrefix, dotOfKey, TABLES } from '../store/keys.ts'
import { recoverIndex } from '../store/recover-index.ts'
import type { Examined } from '../store/store.ts'
import { TipStore } from '../store/tip-store.ts'
import { putRight } from './put-right.ts'
import type { Finding, ScrubDeps, ScrubStep } from './scrub.ts'

/** All but the evidence. */
export const ENTRIES = { from: Uint8Array.of(0x01), to: Uint8Array.of(TABLES.aside) }
const STEP_BYTES = 262_144
/** Documents that are asked for their blocks before others get a turn. */
const DOCUMENTS_PER_STEP = 64

interface Place {
  readonly document: DocumentId
  readonly incarnation: IncarnationId
  readonly sequence: number
}

/** What one step has seen and not looked into. */
interface Seen {
  readonly ruined: { key: Uint8Array; raw: Uint8Array }[]
  /** Where an incarnation begins with another block than its first. */
  readonly begun: Place[]
  /** Documents whose last block has been passed. */
  readonly passed: Set<DocumentId>
}

/**
 * Every entry of the main database against its check, every block against its hash and its place, every document
 * against the ends that were noted. Behind `after`; empty for all.
 */
export async function* scrubEntries(deps: ScrubDeps, after: Uint8Array): AsyncGenerator<ScrubStep> {
  const { main, index, surveyed } = deps
  const suspects = new Set<DocumentId>()
  let at = after
  let last = after[0] === TABLES.block ? placeOf(after) : undefined
  let rebuilt = false
  const look = ({ key, value, raw }: Examined, { ruined, begun, passed }: Seen): void => {
    if (key[0] !== TABLES.block) {
      if (last !== undefined) passed.add(last.document)
      last = undefined
      if (value !== undefined) return
      if (key[0] === TABLES.base || key[0] === TABLES.pruned) suspects.add(documentOfKey(key))
      else ruined.push({ key, raw })
      return
    }
    const place = placeOf(key)
    const { document, incarnation, sequence } = place
    if (last !== undefined && last.document !== document) passed.add(last.document)
    if (last?.document !== document || last.incarnation !== incarnation) {
      if (sequence !== 1) begun.push(place)
    } else if (sequence !== last.sequence && sequence !== last.sequence + 1) suspects.add(document)
    if (value === undefined || surveyed.decode(value)?.hash !== dotOfKey(key).hash) suspects.add(document)
    last = place
  }
  for (let ended = false; !ended; ) {
    const seen: Seen = { ruined: [], begun: [], passed: new Set() }
    const findings: Finding[] = []
    let bytes = 0
    try {
      ended = true
      const from = at.length === 0 ? ENTRIES.from : Uint8Array.of(...at, 0)
      for await (const entry of main.store.examine({ from, to: ENTRIES.to })) {
        bytes += entry.key.length + entry.raw.length
        look(entry, seen)
        at = entry.key
        ended = bytes < STEP_BYTES
        if (!ended) break
      }
    } catch (error) {
      if (rebuilt || !(error instanceof Failure) || error.code !== 'STORE_DAMAGED') throw error
      // A part that LevelDB cannot read at all, though its checksums matched a moment ago.
      await main.rebuild()
      findings.push({ what: 'a part of the database could not be read', state: 'mended' })
      rebuilt = true
      ended = false
    }
    if (ended && last !== undefined) seen.passed.add(last.document)
    findings.push(...(await putRight(deps, seen.ruined)))
    for (const document of await partsMissing(main, seen)) suspects.add(document)
    if ([...seen.passed, ...suspects].some((document) => index.get(document) === undefined)) {
      const recovered = await recoverIndex(surveyed, index)
      if (recovered > 0) findings.push({ what: `${recovered} entries of the index`, state: 'mended' })
    }
    for (const document of suspects) {
      if (!ended && document === last?.document) continue
      suspects.delete(document)
      findings.push(...(await examine(deps, document)))
    }
    const position = { part: 'entries', after: toHex(at) } as const
    yield suspects.size > 0 ? { bytes, findings } : { bytes, findings, position }
  }
  yield* scrubLost(deps)
}

/** Documents that the index names and that have no block. */
async function* scrubLost(deps: ScrubDeps): AsyncGenerator<ScrubStep> {
  let asked = 0
  for (const [document] of [...deps.index.entries()]) {
    const prefix = documentPrefix(document)
    let isThere = false
    for await (const _ of deps.main.store.examine({ from: prefix, to: afterPrefix(prefix), first: true }))
      isThere = true
    if (!isThere) yield { bytes: 0, findings: await examine(deps, document) }
    else if (++asked % DOCUMENTS_PER_STEP === 0) yield { bytes: 0, findings: [] }
  }
}

/** Documents of which a beginning is missing that no base stands for, or an end that was here once. */
async function partsMissing({ store }: ScrubDeps['main'], { begun, passed }: Seen): Promise<Set<DocumentId>> {
  const blocks = new BlockStore(store)
  const tips = new TipStore(store)
  const missing = new Set<DocumentId>()
  for (const { document, incarnation, sequence } of begun) {
    const base = (await blocks.bases.read(document).catch(() => undefined))?.tips ?? []
    const end = base.find(({ dot }) => dot.incarnation === incarnation)?.dot.sequence ?? 0
    if (sequence > end + 1) missing.add(document)
  }
  for (const document of passed) {
    const noted = await tips.read(document)
    // An end that cannot be read is a reason to look as well.
    const ends = await blocks.tips(document).catch(() => [])
    const endOf = (of: IncarnationId) => ends.find((dot) => dot.incarnation === of)?.sequence ?? 0
    if (noted.some((dot) => endOf(dot.incarnation) < dot.sequence)) missing.add(document)
  }
  return missing
}

async function examine({ documents, index, damage }: ScrubDeps, document: DocumentId): Promise<Finding[]> {
  const name = index.get(document)?.name
  if (name === undefined) return []
  const isKnown = damage.of(document).length > 0
  const { damaged, mended } = await documents.examine(name)
  const findings: Finding[] = []
  if (mended > 0)
    findings.push({ what: `${mended} blocks of document ${document} under changed keys`, state: 'mended' })
  if (!damaged || isKnown) return findings
  for (const { incarnation, from, to } of damage.of(document)) {
    const which = from === to ? `block ${from}` : `blocks ${from} to ${to}`
    findings.push({ what: `${which} of incarnation ${incarnation} in document ${document}`, state: 'asked' })
  }
  return findings
}

const placeOf = (key: Uint8Array): Place => ({ document: documentOfKey(key), ...dotOfKey(key) })
