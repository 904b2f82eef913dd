import { IGNORE_FILE, faultInPath, isOwnName, keyOf, nameOf, parentOf } from './core/names.ts'
import { ignoreRules } from './core/ignore-rules.ts'
import { isPassing, type Refused, refusedByName } from './core/refusals.ts'
import type { Found } from './ports.ts'
import type { MirrorState } from './state.ts'

/** Times on disks step by up to this: a file that changed so recently may change again unseen. */
const FRESH_MS = 2_000

/** Brings what is known of the disk up to date below some paths; '' is everything. False: the folder is not there. */
export async function refresh(state: MirrorState, paths: readonly string[]): Promise<boolean> {
  const { disk } = state.deps
  if (!(await disk.present())) return false
  if (paths.includes('') || paths.includes(IGNORE_FILE)) {
    await readRules(state)
    const all = await disk.scan('', skip(state))
    // Gone between the two calls: not the moment to call every file deleted.
    if (all === undefined || !(await disk.present())) return false
    const seen = new Set(all.map(({ path }) => keyOf(path)))
    vanished(state, (key) => !seen.has(key))
    for (const key of state.base.keys()) if (!seen.has(key)) state.dirty.add(key)
    state.directories.clear()
    for (const found of all) take(state, found)
    return true
  }
  const lookedBelow = new Set<string>()
  const all: Found[] = []
  for (const path of paths) {
    const found = await disk.look(path)
    if (found !== undefined) all.push(found)
    if (found !== undefined && found.type !== 'directory') continue
    lookedBelow.add(keyOf(path))
    if (found !== undefined) all.push(...((await disk.scan(path, skip(state))) ?? []))
  }
  // One pass for all of them: a folder that is deleted tells of each of its files.
  if (lookedBelow.size > 0) {
    const seen = new Set(all.map((each) => keyOf(each.path)))
    vanished(state, (key) => !seen.has(key) && isWithin(key, lookedBelow))
    for (const key of lookedBelow) if (state.base.has(key) && !state.disk.has(key)) state.dirty.add(key)
  }
  for (const found of all) take(state, found)
  return true
}

/** Whether it is one of these, or lies below one. */
function isWithin(key: string, folders: ReadonlySet<string>): boolean {
  for (let path = key; path !== ''; path = parentOf(path)) if (folders.has(path)) return true
  return false
}

/** A name whose folder a person has excluded, or that is ours, is as if it were not there. */
export const isIgnored = (state: MirrorState, key: string): boolean =>
  isOwnName(nameOf(key)) || state.rules.ignores(key, false)

const skip =
  (state: MirrorState) =>
  (path: string, directory: boolean): boolean =>
    isOwnName(nameOf(path)) || state.rules.ignores(keyOf(path), directory)

function vanished(state: MirrorState, isGone: (key: string) => boolean): void {
  const gone = [...state.disk.keys()].filter((key) => isGone(key))
  for (const key of gone) {
    state.disk.delete(key)
    state.noIssue(key, 'out')
    state.dirty.add(key)
  }
  if (gone.length === 0) return
  // They may have been in the way of others.
  for (const { code, path } of state.issues.values()) if (code === 'BLOCKED') state.dirty.add(path)
}

function take(state: MirrorState, found: Found): void {
  const key = keyOf(found.path)
  if (skip(state)(found.path, found.type === 'directory')) return
  if (found.type === 'directory') {
    state.directories.set(key, found.path)
    // A link or a file that had its name has made way for it.
    if (state.disk.has(key)) vanished(state, (each) => each === key)
    return
  }
  const known = state.disk.get(key)
  const base = state.base.get(key)
  const fresh = state.deps.now() - found.mtimeMs < FRESH_MS
  // Two spellings of one name: the first that was seen counts, the other is listed.
  if (known !== undefined && known.found.path !== found.path) {
    state.issue(`${key} (twice)`, {
      type: 'refused',
      direction: 'out',
      code: 'CASE',
      because: 'two files here differ only in how Unicode spells their names',
      next: 'rename one of them',
    })
    return
  }
  const same = known !== undefined && known.found.stamp === found.stamp && known.found.executable === found.executable
  if (same && !fresh && (base?.stamp === found.stamp || isSettled(known.blocked))) return
  const blocked = blockedByName(state, key, found)
  state.disk.set(key, { found, blocked, fresh })
  state.dirty.add(key)
}

const isSettled = (blocked: Refused | undefined): boolean => blocked !== undefined && !isPassing(blocked)

function blockedByName(state: MirrorState, key: string, found: Found): Refused | undefined {
  if (found.type === 'link') return { refusal: 'LINK', because: 'a symbolic link could lead out of the folder' }
  if (found.type !== 'file') return { refusal: 'NOT_A_FILE', because: 'neither a file nor a folder' }
  const fault = faultInPath(key)
  if (fault !== undefined) return { refusal: 'NAME', because: fault }
  return state.deps.allowed().has(key) ? undefined : refusedByName(key)
}

async function readRules(state: MirrorState): Promise<void> {
  const { disk } = state.deps
  const found = await disk.look(IGNORE_FILE)
  const bytes = found?.type === 'file' && found.size <= RULES_BYTES_MAX ? await disk.read(found) : undefined
  state.rules = ignoreRules(bytes === undefined ? '' : new TextDecoder().decode(bytes))
}

const RULES_BYTES_MAX = 65_536
