import type { Document, Entry } from '@sealmesh/protocol/crdt/document'
import type { BlockHash, NodeId } from '@sealmesh/protocol/ids'
import { FILE_PREFIX, type FileEntry, fileKey, formatEntry, idOfKey, parseEntry, textName } from './entry.ts'
import { besideName, faultInPath, foldOf, nameOf, type NameFault, parentOf } from './names.ts'

/** What a document says of one file. */
export interface TreeFile {
  readonly id: string
  readonly entry: FileEntry
  readonly author: NodeId
  readonly wallMs: number
  /** Where it belongs in the folder: its own path, or one beside it when another file has that. */
  readonly shown: string
  /** The file that has its path. */
  readonly behind: string | undefined
  /** Other values of its register that no clock orders: concurrent writes of a file that is no text, or renames. */
  readonly siblings: readonly Sibling[]
  readonly write: BlockHash
  /** Every write of its register: what the next one has seen. */
  readonly writes: readonly BlockHash[]
}

export interface Sibling {
  readonly entry: FileEntry
  readonly author: NodeId
  readonly write: BlockHash
}

export interface GoneFile {
  readonly id: string
  readonly entry: FileEntry
  readonly author: NodeId
  readonly wallMs: number
  readonly writes: readonly BlockHash[]
}

export interface RefusedEntry {
  /** As a peer wrote it: shown, never used. */
  readonly path: string
  readonly fault: NameFault
}

/**
 * The folder that a document describes: a pure function of the document, so the same on every machine that has the
 * same blocks.
 * 1. An entry that says *gone* counts as deleted only while its content is what the deleter saw, and only if no
 *    concurrent write says otherwise: a deletion never takes an edit with it.
 * 2. Of files that claim one path (as systems that ignore case see it) the least id has it; the others stand beside
 *    it under a name with their id. A folder of that name goes before a file.
 */
export class FolderTree {
  readonly files: ReadonlyMap<string, TreeFile>
  /** By the path under which each is shown. */
  readonly byPath: ReadonlyMap<string, TreeFile>
  /** By `foldOf` of that path. */
  readonly byFold: ReadonlyMap<string, TreeFile>
  /** Deleted, and kept for those who have edited them meanwhile. */
  readonly gone: ReadonlyMap<string, GoneFile>
  /** Entries whose paths no machine may have; a peer made them. */
  readonly refused: readonly RefusedEntry[]

  constructor(read: Readings) {
    const live: Live[] = []
    const gone = new Map<string, GoneFile>()
    const refused: RefusedEntry[] = []
    for (const reading of read.all()) {
      const fault = faultInPath(reading.entry.path)
      if (reading.gone) gone.set(reading.id, reading)
      else if (fault !== undefined) refused.push({ path: reading.entry.path, fault })
      else live.push(reading)
    }
    live.sort((a, b) => (a.id < b.id ? -1 : 1))
    const directories = directoriesOf(live)
    const byFold = new Map<string, TreeFile>()
    const files = new Map<string, TreeFile>()
    const place = (reading: Live, shown: string, behind: string | undefined): void => {
      const { id, entry, author, wallMs, siblings, write, writes } = reading
      const file = { id, entry, author, wallMs, shown, behind, siblings, write, writes }
      files.set(id, file)
      byFold.set(foldOf(shown), file)
    }
    const behind: { reading: Live; path: string }[] = []
    for (const reading of live) {
      const path = spelled(reading.entry.path, directories)
      const fold = foldOf(path)
      if (directories.has(fold) || byFold.has(fold)) behind.push({ reading, path })
      else place(reading, path, undefined)
    }
    for (const { reading, path } of behind) {
      let shown = path
      for (let length = 6; length <= 12; length += 6) {
        shown = besideName(path, reading.id.slice(0, length))
        if (!byFold.has(foldOf(shown)) && !directories.has(foldOf(shown))) break
      }
      place(reading, shown, byFold.get(foldOf(path))?.id ?? '')
    }
    this.files = files
    this.byFold = byFold
    this.byPath = new Map([...files.values()].map((file) => [file.shown, file]))
    this.gone = gone
    this.refused = refused
  }
}

/** Of spellings that differ only in case one is used, the least. */
function directoriesOf(live: readonly Live[]): Map<string, string> {
  const directories = new Map<string, string>()
  for (const { entry } of live) {
    for (let parent = parentOf(entry.path); parent !== ''; parent = parentOf(parent)) {
      const fold = foldOf(parent)
      const known = directories.get(fold)
      if (known === undefined || parent < known) directories.set(fold, parent)
    }
  }
  return directories
}

/** The path with its folders spelled as all spell them: each component by the spelling of its own folder. */
function spelled(path: string, directories: ReadonlyMap<string, string>): string {
  const components = path.split('/')
  const name = components.pop() ?? ''
  let [plain, shown] = ['', '']
  for (const component of components) {
    plain = plain === '' ? component : `${plain}/${component}`
    const canonical = nameOf(directories.get(foldOf(plain)) ?? component)
    shown = shown === '' ? canonical : `${shown}/${canonical}`
  }
  return shown === '' ? name : `${shown}/${name}`
}

interface Live {
  readonly id: string
  readonly entry: FileEntry
  readonly author: NodeId
  readonly wallMs: number
  readonly siblings: readonly Sibling[]
  readonly write: BlockHash
  readonly writes: readonly BlockHash[]
}

interface Reading extends Live {
  readonly gone: boolean
}

/** The entries of a document, read again only where it has changed. */
export class Readings {
  readonly #hashOf: (text: string) => string
  readonly #readings = new Map<string, Reading>()

  constructor(hashOf: (text: string) => string) {
    this.#hashOf = hashOf
  }

  all(): Iterable<Reading> {
    return this.#readings.values()
  }

  get(id: string): Reading | undefined {
    return this.#readings.get(id)
  }

  readAll(document: Document): void {
    this.#readings.clear()
    for (const key of document.keys()) {
      const id = key.startsWith(FILE_PREFIX) ? idOfKey(key) : undefined
      if (id !== undefined) this.read(document, id)
    }
  }

  /** Whether the tree may be another now. */
  read(document: Document, id: string): boolean {
    const before = this.#readings.get(id)
    const after = readingOf(document, id, this.#hashOf)
    if (after === undefined) this.#readings.delete(id)
    else this.#readings.set(id, after)
    if (before === undefined || after === undefined) return before !== after
    return (
      before.gone !== after.gone ||
      before.writes.length !== after.writes.length ||
      before.writes.some((write, n) => write !== after.writes[n])
    )
  }
}

function readingOf(document: Document, id: string, hashOf: (text: string) => string): Reading | undefined {
  const parsed: { entry: FileEntry; from: Entry }[] = []
  const writes: BlockHash[] = []
  for (const from of document.siblings(fileKey(id))) {
    writes.push(from.dot.hash)
    const entry = from.value === undefined ? undefined : parseEntry(from.value)
    if (entry !== undefined) parsed.push({ entry, from })
  }
  // A write that says that the file is there goes before one that says it is gone: invariant (1).
  const chosen = parsed.find(({ entry }) => entry.gone === undefined) ?? parsed[0]
  if (chosen === undefined) return undefined
  const { entry, from } = chosen
  const others = parsed.filter((each) => each !== chosen && formatEntry(each.entry) !== formatEntry(entry))
  const siblings = others.map((each) => ({ entry: each.entry, author: each.from.author, write: each.from.dot.hash }))
  const gone = entry.gone !== undefined && (entry.kind === 'binary' || isAsSeen(document, id, parsed, hashOf))
  return { id, entry, author: from.author, wallMs: from.time.wallMs, siblings, gone, write: from.dot.hash, writes }
}

/** Whether the text is what some deleter saw. */
function isAsSeen(
  document: Document,
  id: string,
  parsed: readonly { entry: FileEntry }[],
  hashOf: (text: string) => string,
): boolean {
  const hash = hashOf(document.text(textName(id)) ?? '')
  return parsed.some(({ entry }) => entry.gone === hash)
}
