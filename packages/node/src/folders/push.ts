import type { Document } from '@sealmesh/protocol/crdt/document'
import type { Intent } from '@sealmesh/protocol/crdt/writer'
import type { Failure } from '@sealmesh/protocol/errors'
import { editsBetween, editsToUnion } from '../text/text-edits.ts'
import { type Content, contentOf } from './core/content.ts'
import { type FileEntry, chunkKey, textName, withMode } from './core/entry.ts'
import {
  BINARY_BYTES_MAX,
  CHUNK_BYTES,
  EMPTIED_SETTLE_MS,
  FILE_BYTES_MAX,
  FILES_MAX,
  SHRUNK_SETTLE_MS,
  TEXT_BYTES_MAX,
} from './core/limits.ts'
import { besideName, foldOf } from './core/names.ts'
import { isAllowable, isPassing, type Refused, refusedByContent } from './core/refusals.ts'
import type { TreeFile } from './core/tree.ts'
import { overdue, planDeletions } from './deletions.ts'
import { each } from './each.ts'
import { type Plan, placeOf, setEntry } from './plan.ts'
import type { BaseChange, BaseEntry, Found } from './ports.ts'
import type { DiskFile, MirrorState } from './state.ts'
import { pushTexts } from './text-pushes.ts'

interface Read {
  readonly key: string
  readonly file: DiskFile
  readonly content: Content
}

/** Which file of the disk each file of the document is, in this round: never two, or one would undo the other. */
type Claims = Map<string, string>

/** Names of the base, by which file it was and, of those that are missing, by what they had. */
interface Places {
  readonly byInode: ReadonlyMap<string, readonly string[]>
  readonly missing: ReadonlyMap<string, readonly string[]>
}

const idAt = (state: MirrorState, key: string): string => state.base.get(key)?.id ?? ''

const READS_AT_ONCE = 16

/** Sends what people and programs changed on the disk, for the keys that are dirty. */
export async function pushLocal(state: MirrorState): Promise<void> {
  const reads: Read[] = []
  await each([...state.dirty], READS_AT_ONCE, async (key) => {
    const read = await readChanged(state, key)
    if (read !== undefined) reads.push(read)
  })
  const document = await state.deps.document.open()
  const refusal = state.deps.document.refusal()
  const plan: Plan = { texts: [], chunks: new Map(), entries: [], after: [] }
  const claims: Claims = new Map()
  const gone = overdue(state)
  if (refusal === undefined) {
    const places = reads.length > 0 ? placesOf(state) : NOWHERE
    for (const read of reads) await planRead(state, document, read, plan, claims, places)
    planDeletions(state, document, plan, new Set(gone.filter((key) => !claims.has(idAt(state, key)))))
  } else {
    for (const { key } of reads) keepHere(state, key, refusal)
    for (const key of gone) keepHere(state, key, refusal)
  }
  if (plan.texts.length > 0) await pushTexts(state, plan.texts)
  const chunks = [...plan.chunks].map(
    ([hash, bytes]): Intent => ({
      type: 'set',
      key: chunkKey(hash),
      value: JSON.stringify(Buffer.from(bytes).toString('base64')),
    }),
  )
  if (chunks.length > 0) await state.deps.document.write(chunks)
  if (plan.entries.length > 0) await state.deps.document.write(plan.entries)
  for (const done of plan.after) done()
}

/** The file's content when the document has not got it; undefined also when it is not to be read now. */
async function readChanged(state: MirrorState, key: string): Promise<Read | undefined> {
  const file = state.disk.get(key)
  if (file === undefined) return undefined
  state.missing.delete(key)
  if (file.blocked !== undefined && !isPassing(file.blocked)) return refuse(state, key, file, file.blocked)
  const base = state.base.get(key)
  const { found } = file
  if (base?.stamp === found.stamp && base.executable === found.executable && !file.fresh) return undefined
  if (found.size > FILE_BYTES_MAX)
    return refuse(state, key, file, {
      refusal: 'TOO_LARGE',
      because: `larger than ${FILE_BYTES_MAX / 1_048_576} MiB`,
    })
  const bytes = await state.deps.disk.read(found)
  // The watcher will tell, and if it does not, this does.
  if (bytes === undefined) return wait(state, key, state.deps.now() + SHRUNK_SETTLE_MS)
  const stableAtMs = found.mtimeMs + (await settleOf(state, key, bytes, base))
  if (state.deps.now() < stableAtMs && found.mtimeMs <= state.deps.now()) return wait(state, key, stableAtMs)
  const content = contentOf(bytes, state.deps.hashOf)
  state.disk.set(key, { ...file, blocked: undefined, fresh: false })
  if (base?.hash === content.hash && base.executable === found.executable) {
    if (base.stamp !== found.stamp) state.setBase(key, { ...base, ...placeOf(found) }, undefined)
    return undefined
  }
  if (!state.deps.allowed().has(key)) {
    const refused = refusedByContent(bytes, content.text, found.executable)
    if (refused !== undefined) return refuse(state, key, file, refused)
  }
  state.noIssue(key, 'out')
  return { key, file, content }
}

/** How long a file is left alone that may be half written: one that is shorter and does not end as it did. */
async function settleOf(
  state: MirrorState,
  key: string,
  bytes: Uint8Array,
  base: BaseEntry | undefined,
): Promise<number> {
  if (base === undefined || bytes.length >= base.size) return 0
  if (bytes.length === 0) return EMPTIED_SETTLE_MS
  const before = base.kind === 'text' ? await state.baseText(key) : undefined
  const end = before?.slice(-END_CHARACTERS)
  return end !== undefined && decoder.decode(bytes.subarray(-END_CHARACTERS * 4)).endsWith(end) ? 0 : SHRUNK_SETTLE_MS
}

const decoder = new TextDecoder()
/** Of a text's end: its last lines. */
const END_CHARACTERS = 32

function wait(state: MirrorState, key: string, untilMs: number): undefined {
  state.waiting.add(key)
  state.again(key, untilMs)
}

function refuse(state: MirrorState, key: string, file: DiskFile, refused: Refused): undefined {
  state.disk.set(key, { ...file, blocked: refused, fresh: false })
  state.issue(key, {
    type: 'refused',
    direction: 'out',
    code: refused.refusal,
    because: refused.because,
    next: isAllowable(refused.refusal)
      ? 'to mirror it all the same, name it: folder add AGENT PATH --allow FILE'
      : nextOf(refused),
  })
}

function nextOf({ refusal }: Refused): string {
  switch (refusal) {
    case 'TOO_LARGE':
    case 'FOLDER_FULL':
      return 'keep it elsewhere, or name it in .sealmeshignore'
    case 'NAME':
    case 'CASE':
      return 'rename it'
    default:
      return 'name it in .sealmeshignore to stop this line'
  }
}

/** It may not be written from here: it stays on this disk, is listed, and goes when it may. */
function keepHere(state: MirrorState, key: string, refusal: Failure): void {
  state.waiting.add(key)
  state.issue(key, {
    type: 'pending',
    direction: 'out',
    code: refusal.code,
    because: `changed on this machine only: ${refusal.message}`,
    next: refusal.next,
  })
}

async function planRead(
  state: MirrorState,
  document: Document,
  read: Read,
  plan: Plan,
  claims: Claims,
  places: Places,
): Promise<void> {
  const { key, content, file } = read
  const base = state.base.get(key)
  if (base !== undefined) {
    if (!claims.has(base.id) && !isTakenElsewhere(state, key, base)) {
      claims.set(base.id, key)
      return planEdit(state, document, read, base, plan)
    }
    state.dropBase(key)
  }
  const from = await renamedFrom(state, file.found, content.hash, claims, places)
  const other = state.tree.byFold.get(foldOf(key))
  if (from !== undefined && (other === undefined || other.id === idAt(state, from))) {
    claims.set(idAt(state, from), key)
    return planRename(state, read, from, plan)
  }
  const there = state.tree.byPath.get(key)
  if (there !== undefined && !claims.has(there.id)) {
    claims.set(there.id, key)
    return planMeeting(state, document, read, there, plan)
  }
  // The other one may just be leaving this disk: a rename in case only, or a deletion.
  if (other !== undefined && other.shown !== key && state.disk.has(other.shown))
    return refuse(state, key, file, {
      refusal: 'CASE',
      because: 'differs from another file only in upper and lower case',
    })
  create(state, key, read, key, plan)
}

/**
 * Its file was renamed here and on another machine alike, and somebody made a new one under the old name. To take that
 * for an edit would empty the renamed one.
 */
function isTakenElsewhere(state: MirrorState, key: string, { id }: BaseEntry): boolean {
  const shown = state.tree.files.get(id)?.shown
  if (shown === undefined || shown === key || !state.disk.has(shown)) return false
  return (state.base.get(shown)?.id ?? id) === id
}

/** A file of the base that is not where it was, and is this one: the same file of the disk, or the same content. */
async function renamedFrom(
  state: MirrorState,
  found: Found,
  hash: string,
  claims: Claims,
  { byInode, missing }: Places,
): Promise<string | undefined> {
  const isFree = ({ id }: BaseEntry): boolean => !claims.has(id) && state.tree.files.has(id)
  for (const key of byInode.get(found.inode) ?? []) {
    const base = state.base.get(key)
    if (base === undefined || !isFree(base)) continue
    const there = state.disk.get(key)
    // The news of its old name may come after those of its new one.
    if (there === undefined || (await state.deps.disk.look(there.found.path)) === undefined) return key
  }
  if (found.size === 0) return undefined
  return missing.get(hash)?.find((key) => {
    const base = state.base.get(key)
    return base !== undefined && isFree(base)
  })
}

const NOWHERE: Places = { byInode: new Map(), missing: new Map() }

function placesOf({ base, missing }: MirrorState): Places {
  const [byInode, byHash] = [new Map<string, string[]>(), new Map<string, string[]>()]
  const add = (map: Map<string, string[]>, name: string, key: string): void => {
    const keys = map.get(name)
    if (keys === undefined) map.set(name, [key])
    else keys.push(key)
  }
  for (const [key, { inode }] of base) add(byInode, inode, key)
  for (const key of missing.keys()) {
    const hash = base.get(key)?.hash
    if (hash !== undefined) add(byHash, hash, key)
  }
  return { byInode, missing: byHash }
}

async function planRename(state: MirrorState, read: Read, from: string, plan: Plan): Promise<void> {
  const base = state.base.get(from)!
  const file = state.tree.files.get(base.id)!
  const text = await state.baseText(from)
  plan.entries.push(setEntry(base.id, { ...file.entry, path: read.key }, file.writes))
  plan.after.push(() => {
    state.dropBase(from)
    state.missing.delete(from)
    state.heldOut.delete(from)
    // What changed beside the name is read in the next round, against the old content.
    state.setBase(read.key, { ...base, path: read.file.found.path, stamp: '' }, text)
    state.waiting.add(read.key)
    state.again(read.key, state.deps.now())
  })
}

/** Both sides have a file of this name, and no common past: nothing of either is lost. */
function planMeeting(state: MirrorState, document: Document, read: Read, there: TreeFile, plan: Plan): void {
  const { key, content } = read
  if (content.kind === 'text' && there.entry.kind === 'text') {
    const theirs = document.text(textName(there.id)) ?? ''
    const edits = editsToUnion(theirs, content.text)
    if (edits.length > 0 || theirs !== content.text)
      plan.after.push(() => state.note(key, 'merged', 'both sides had it: merged'))
    plan.texts.push({ id: there.id, base: theirs, edits })
    plan.after.push(() => meet(state, read, there.id))
    return
  }
  if (there.entry.kind === 'binary' && there.entry.hash === content.hash) {
    plan.after.push(() => meet(state, read, there.id))
    return
  }
  // The disk's own goes beside it, the document's gets the name.
  createBeside(state, read, 'both sides had it and it cannot be merged: kept both', plan)
}

/** The file is this one now: what had its name in the base is another, or what it says would be taken for an edit. */
function meet(state: MirrorState, read: Read, id: string): void {
  for (const [key, base] of state.base) if (base.id === id && key !== read.key) state.dropBase(key)
  rebase(state, read, id)
}

async function planEdit(
  state: MirrorState,
  document: Document,
  read: Read,
  base: BaseEntry,
  plan: Plan,
): Promise<void> {
  const { key, content, file } = read
  const known = state.tree.files.get(base.id) ?? state.tree.gone.get(base.id)
  if (known === undefined || base.kind !== content.kind) {
    // Its entry was cleared away long ago, or it is another kind of thing now.
    const seen = document.text(textName(base.id)) ?? ''
    if (known !== undefined && (base.kind === 'binary' || state.deps.hashOf(seen) === base.hash))
      plan.entries.push(setEntry(base.id, { ...known.entry, gone: base.hash }, known.writes))
    return create(state, key, read, key, plan)
  }
  const executable = file.found.executable && state.deps.allowed().has(key)
  if (content.kind === 'text') {
    const now = document.text(textName(base.id)) ?? ''
    const before = (await state.baseText(key)) ?? (state.deps.hashOf(now) === base.hash ? now : undefined)
    if (before === undefined) {
      // What both had last is lost: of neither side anything may be taken for deleted.
      plan.texts.push({ id: base.id, base: now, edits: editsToUnion(now, content.text) })
      plan.after.push(() => rebase(state, read, base.id))
      return
    }
    const baseWith = (text: string): BaseChange => ({
      key,
      entry: { ...base, hash: state.deps.hashOf(text), stamp: '' },
      text,
    })
    plan.texts.push({ id: base.id, base: before, edits: editsBetween(before, content.text), baseWith })
    if (executable !== (known.entry.executable === true))
      plan.entries.push(setEntry(base.id, withMode(known.entry, executable), known.writes))
    plan.after.push(() => rebase(state, read, base.id))
    return
  }
  const { entry } = known
  if (entry.kind === 'binary' && entry.gone === undefined && entry.hash !== base.hash && entry.hash !== content.hash) {
    // Another machine has changed it too, and two such files cannot be merged.
    return createBeside(state, read, 'changed on two machines at once: kept both', plan)
  }
  plan.entries.push(setEntry(base.id, entryOf(state, read, known.entry.path, executable, plan), known.writes))
  plan.after.push(() => rebase(state, read, base.id))
}

function create(state: MirrorState, key: string, read: Read, path: string, plan: Plan, id = state.deps.newId()): void {
  const { content, file } = read
  const full = fullBecause(state, content)
  if (full !== undefined) return refuse(state, key, file, { refusal: 'FOLDER_FULL', because: full })
  if (content.kind === 'text') plan.texts.push({ id, base: '', edits: editsBetween('', content.text) })
  const executable = file.found.executable && state.deps.allowed().has(key)
  plan.entries.push(setEntry(id, entryOf(state, read, path, executable, plan), undefined))
  plan.after.push(() => rebase(state, read, id))
  state.added[content.kind] += content.bytes.length
  state.added.files += 1
}

function createBeside(state: MirrorState, read: Read, because: string, plan: Plan): void {
  const id = state.deps.newId()
  const path = besideName(read.key, id.slice(0, 6))
  create(state, read.key, read, path, plan, id)
  plan.after.push(() => state.note(path, 'copy', because))
}

function fullBecause({ tree, added, totals }: MirrorState, { kind, bytes }: Content): string | undefined {
  if (tree.files.size + added.files >= FILES_MAX) return `the folder has ${FILES_MAX} files already`
  const [most, words] = kind === 'text' ? [TEXT_BYTES_MAX, 'of text'] : [BINARY_BYTES_MAX, 'of other files']
  return totals[kind] + added[kind] + bytes.length > most
    ? `the folder has ${most / 1_048_576} MiB ${words} already`
    : undefined
}

function entryOf(
  { deps: { hashOf } }: MirrorState,
  { content, file }: Read,
  path: string,
  executable: boolean,
  plan: Plan,
): FileEntry {
  const common = { v: 1 as const, path, mtimeMs: Math.max(0, Math.floor(file.found.mtimeMs)) }
  const mode = executable ? { executable: true as const } : {}
  if (content.kind === 'text') return { ...common, kind: 'text', ...mode }
  const chunks: string[] = []
  for (let at = 0; at < content.bytes.length; at += CHUNK_BYTES) {
    const chunk = content.bytes.subarray(at, at + CHUNK_BYTES)
    const hash = hashOf(chunk)
    chunks.push(hash)
    plan.chunks.set(hash, chunk)
  }
  return { ...common, kind: 'binary', ...mode, size: content.bytes.length, hash: content.hash, chunks }
}

/** The document has what was read. */
function rebase(state: MirrorState, { key, content, file }: Read, id: string): void {
  const before = state.base.get(key)
  const arrivals = before?.id === id ? before.arrivals : []
  const { kind, hash, text } = content
  const isKept = before?.id === id && before.hash === hash
  state.setBase(key, { id, kind, hash, ...placeOf(file.found), arrivals }, isKept ? undefined : text)
}
