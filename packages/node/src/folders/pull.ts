import type { Document } from '@sealmesh/protocol/crdt/document'
import type { NodeId } from '@sealmesh/protocol/ids'
import { applyEdits, editsBetween } from '../text/text-edits.ts'
import { contentOf } from './core/content.ts'
import { type BinaryEntry, chunkKey, textName } from './core/entry.ts'
import {
  ARRIVALS_MAX,
  BLOCKED_RETRY_MS,
  BINARY_BYTES_MAX,
  CHUNK_BYTES,
  FILE_BYTES_MAX,
  FILES_MAX,
  MERGE_GRACE_MS,
  TEXT_BYTES_MAX,
} from './core/limits.ts'
import { nameOf, parentOf } from './core/names.ts'
import { isAllowable, type Refused, refusedByContent, refusedByName } from './core/refusals.ts'
import { carryOver } from './core/three-way.ts'
import type { TreeFile } from './core/tree.ts'
import type { Arrival, BaseEntry } from './ports.ts'
import { each } from './each.ts'
import { hashIn, placeOf } from './plan.ts'
import { isIgnored } from './refresh.ts'
import type { MirrorState } from './state.ts'

/** Brings the disk to what the document says, for the keys that are dirty. Local changes went before. */
export async function pull(state: MirrorState): Promise<void> {
  const document = await state.deps.document.open()
  state.heldIn.clear()
  const removals: { key: string; base: BaseEntry; elsewhere: boolean }[] = []
  const arriving: [string, TreeFile][] = []
  for (const key of state.dirty) {
    const file = state.tree.byPath.get(key)
    const base = state.base.get(key)
    if (file === undefined) state.noIssue(key, 'in')
    if (state.heldOut.has(key)) continue
    if (state.waiting.has(key)) {
      await mergeHere(state, document, key)
      continue
    }
    if (state.disk.get(key)?.blocked !== undefined) {
      if (file !== undefined) state.noIssue(key, 'in')
      continue
    }
    if (file !== undefined) arriving.push([key, file])
    else if (base !== undefined) {
      if (state.disk.has(key) && isOutlived(state, document, base)) {
        state.dropBase(key)
        state.again(key, state.deps.now())
      } else if (state.disk.has(key)) removals.push({ key, base, elsewhere: state.tree.files.has(base.id) })
      else {
        state.dropBase(key)
        state.missing.delete(key)
      }
    }
  }
  await each(arriving, AT_ONCE, ([key, file]) => bring(state, key, file))
  await remove(state, removals)
}

/** Files that are written at once: each waits for its fsync, which they can share. */
const AT_ONCE = 8

/** Its entry was cleared away long after its deletion, and what is in its text was written by one who was away then. */
const isOutlived = (state: MirrorState, document: Document, { id, kind }: BaseEntry): boolean =>
  kind === 'text' &&
  !state.tree.files.has(id) &&
  !state.tree.gone.has(id) &&
  (document.text(textName(id)) ?? '').trim() !== ''

async function bring(state: MirrorState, key: string, file: TreeFile): Promise<void> {
  const { disk: folder } = state.deps
  const base = state.base.get(key)
  const there = state.disk.get(key)
  // Since the last file was written the document may have gone on: that is another round's.
  const document = await state.deps.document.open()
  if (base?.id === file.id && there !== undefined && base.hash === hashIn(state, document, file)) {
    state.noIssue(key, 'in')
    return
  }
  // What is there has not been taken in yet: the push said why.
  if (there !== undefined && base?.stamp !== there.found.stamp) return
  if (isIgnored(state, key)) return
  if (isYetToBeMerged(state, file)) return
  const bytes = file.entry.kind === 'text' ? textIn(document, file.id) : assemble(state, document, file.entry)
  if (bytes === undefined) {
    state.issue(key, {
      type: 'pending',
      direction: 'in',
      code: 'CONTENT_MISSING',
      because: 'its content has not arrived',
      next: 'nothing: it is written when it has',
    })
    return
  }
  const refused = refusedHere(state, key, file, bytes, base === undefined)
  if (refused !== undefined) {
    const next = isAllowable(refused.refusal)
      ? 'to take it all the same, name it: folder add AGENT PATH --allow FILE'
      : ''
    state.issue(key, { type: 'refused', direction: 'in', code: refused.refusal, because: refused.because, next })
    return
  }
  const executable = file.entry.executable === true && state.deps.allowed().has(key)
  // Another file had this name, and is deleted: its content goes nowhere else.
  if (there !== undefined && base !== undefined && base.id !== file.id && !state.tree.files.has(base.id)) {
    const by = state.tree.gone.get(base.id)?.author
    await folder.copyToTrash(there.found, { path: key, by })
    trashed(state, key, by)
  }
  const before = there === undefined ? undefined : await state.baseText(key)
  const replaced = await folder.replace(diskPathOf(state, key), bytes, { expected: there?.found, executable })
  if (replaced.type === 'changed') return look(state, key)
  if (replaced.type === 'blocked') {
    const next = 'make room for it: it is tried again'
    state.again(key, state.deps.now() + BLOCKED_RETRY_MS)
    state.issue(key, { type: 'pending', direction: 'in', code: 'BLOCKED', because: replaced.because, next })
    return
  }
  const content = contentOf(bytes, state.deps.hashOf)
  const source = state.sourceOf(file.id, file.author, file.wallMs)
  const arrivals = arrived(base?.id === file.id ? base.arrivals : [], source, state.deps.document.node)
  const { found, retired } = replaced
  state.disk.set(key, { found, blocked: undefined, fresh: false })
  // As its entry says: a text that grew too large to be one stays what it is until somebody changes it here.
  const { kind } = file.entry
  state.setBase(key, { id: file.id, kind, hash: content.hash, ...placeOf(found), arrivals }, content.text)
  state.missing.delete(key)
  state.noIssue(key, 'in')
  if (source.node !== state.deps.document.node) state.deps.tell({ what: 'arrived', path: key, from: source.node })
  if (retired !== undefined && base !== undefined)
    state.retired.push({ retired, key, id: base.id, hash: base.hash, text: before, atMs: state.deps.now() })
}

const arrived = (before: readonly Arrival[], source: Arrival, self: string): readonly Arrival[] =>
  source.node === self ? before : [source, ...before].slice(0, ARRIVALS_MAX)

const trashed = (state: MirrorState, path: string, by: NodeId | undefined): void =>
  state.deps.tell({ what: 'trashed', path, ...(by === undefined ? {} : { from: by }) })

function look(state: MirrorState, key: string): void {
  state.touched.set(state.disk.get(key)?.found.path ?? key, state.deps.now())
}

/** Two machines made a file of one name: the one that made the second merges it; until then it is not shown. */
function isYetToBeMerged(state: MirrorState, file: TreeFile): boolean {
  const first = file.behind === undefined ? undefined : state.tree.files.get(file.behind)
  if (first?.entry.kind !== 'text' || file.entry.kind !== 'text' || first.entry.path !== file.entry.path) return false
  const now = state.deps.now()
  const since = state.behindSince.get(file.id) ?? now
  state.behindSince.set(file.id, since)
  if (now - since >= MERGE_GRACE_MS) return false
  state.again(file.shown, since + MERGE_GRACE_MS)
  return true
}

/** This node may not write the document: what others change is merged into what was changed here, on the disk. */
async function mergeHere(state: MirrorState, document: Document, key: string): Promise<void> {
  const [base, there, file] = [state.base.get(key), state.disk.get(key), state.tree.byPath.get(key)]
  if (state.deps.document.refusal() === undefined || base?.kind !== 'text' || base.id !== file?.id) return
  const now = document.text(textName(base.id)) ?? ''
  const hash = state.deps.hashOf(now)
  if (there === undefined || there.blocked !== undefined || hash === base.hash) return
  const before = await state.baseText(key)
  const bytes = await state.deps.disk.read(there.found)
  const mine = bytes === undefined ? undefined : contentOf(bytes, state.deps.hashOf).text
  if (before === undefined || mine === undefined) return
  const merged = encoder.encode(applyEdits(now, carryOver(before, editsBetween(before, mine), now)))
  const how = { expected: there.found, executable: there.found.executable }
  const replaced = await state.deps.disk.replace(there.found.path, merged, how)
  if (replaced.type !== 'done') return look(state, key)
  const { found, retired } = replaced
  if (retired !== undefined) await state.deps.disk.dropRetired(retired)
  state.disk.set(key, { found, blocked: undefined, fresh: false })
  const source = state.sourceOf(file.id, file.author, file.wallMs)
  const arrivals = arrived(base.arrivals, source, state.deps.document.node)
  state.setBase(key, { ...base, ...placeOf(found), hash, stamp: '', arrivals }, now)
}

function refusedHere(
  state: MirrorState,
  key: string,
  file: TreeFile,
  bytes: Uint8Array,
  isNew: boolean,
): Refused | undefined {
  // Bounds before allowances: nobody's word makes room.
  if (isNew && state.base.size >= FILES_MAX)
    return { refusal: 'FOLDER_FULL', because: `the folder has ${FILES_MAX} files already` }
  const most = file.entry.kind === 'text' ? TEXT_BYTES_MAX : BINARY_BYTES_MAX
  state.added[file.entry.kind] += isNew ? bytes.length : 0
  if (state.totals[file.entry.kind] + state.added[file.entry.kind] > most)
    return { refusal: 'FOLDER_FULL', because: `the folder has ${most / 1_048_576} MiB already` }
  if (bytes.length > FILE_BYTES_MAX)
    return { refusal: 'TOO_LARGE', because: `larger than ${FILE_BYTES_MAX / 1_048_576} MiB` }
  if (state.deps.allowed().has(key)) return undefined
  const text = file.entry.kind === 'text' ? decoder.decode(bytes) : contentOf(bytes, state.deps.hashOf).text
  return refusedByName(key) ?? refusedByContent(bytes, text, file.entry.executable === true)
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

const textIn = (document: Document, id: string): Uint8Array => encoder.encode(document.text(textName(id)) ?? '')

/** Undefined while a chunk is missing or is not what its name says. */
function assemble({ deps }: MirrorState, document: Document, entry: BinaryEntry): Uint8Array | undefined {
  const bytes = new Uint8Array(entry.size)
  let at = 0
  for (const hash of entry.chunks) {
    const chunk = chunkIn(document, hash)
    if (chunk === undefined || at + chunk.length > entry.size || deps.hashOf(chunk) !== hash) return undefined
    bytes.set(chunk, at)
    at += chunk.length
  }
  return at === entry.size && deps.hashOf(bytes) === entry.hash ? bytes : undefined
}

export function chunkIn(document: Document, hash: string): Uint8Array | undefined {
  const value = document.read(chunkKey(hash))?.value
  if (value === undefined) return undefined
  const chunk = Buffer.from(value.slice(1, -1), 'base64')
  return chunk.length <= CHUNK_BYTES ? chunk : undefined
}

/** Under the folders as this disk spells them. */
function diskPathOf(state: MirrorState, key: string): string {
  const known = state.disk.get(key)?.found.path
  if (known !== undefined) return known
  const parent = parentOf(key)
  if (parent === '') return key
  const spelled = state.directories.get(parent) ?? diskPathOf(state, parent)
  return `${spelled}/${nameOf(key)}`
}

async function remove(
  state: MirrorState,
  removals: readonly { key: string; base: BaseEntry; elsewhere: boolean }[],
): Promise<void> {
  const deleted = removals.filter(({ elsewhere }) => !elsewhere)
  const [now, files] = [state.deps.now(), state.base.size]
  const held = !state.confirmed && state.massIn.holds(deleted.length, files, now)
  if (held) for (const { key } of deleted) state.heldIn.add(key)
  if (!held) state.massIn.did(deleted.length, files, now)
  for (const { key, base, elsewhere } of removals) {
    if (held && !elsewhere) continue
    const there = state.disk.get(key)?.found
    if (there === undefined || there.stamp !== base.stamp) continue
    const note = elsewhere ? undefined : { path: key, by: state.tree.gone.get(base.id)?.author }
    const before = await state.baseText(key)
    const outcome = await state.deps.disk.remove(there, note)
    if (outcome.type === 'changed') {
      look(state, key)
      continue
    }
    if (outcome.type === 'blocked') {
      const next = 'it is tried again'
      state.again(key, now + BLOCKED_RETRY_MS)
      state.issue(key, { type: 'pending', direction: 'in', code: 'BLOCKED', because: outcome.because, next })
      continue
    }
    state.disk.delete(key)
    state.dropBase(key)
    state.noIssue(key, 'out')
    if (note !== undefined) trashed(state, key, note.by)
    if (outcome.type === 'done' && outcome.retired !== undefined)
      state.retired.push({ retired: outcome.retired, key, id: base.id, hash: base.hash, text: before, atMs: now })
  }
}
