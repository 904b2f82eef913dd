import type { Found, FolderDisk, Replaced, Retired, TrashNote } from '@sealmesh/node/folders/ports'

interface MemoryFile {
  bytes: Uint8Array
  mtimeMs: number
  inode: number
  version: number
}

/** A folder in memory that obeys the rules of the real one, and lets a test act in the midst of a mirror's steps. */
export class MemoryDisk implements FolderDisk {
  readonly files = new Map<string, MemoryFile>()
  readonly trash: { path: string; bytes: Uint8Array }[] = []
  readonly retired = new Map<string, MemoryFile>()
  readonly leftovers: Uint8Array[] = []
  readonly #was = new Map<string, Uint8Array>()
  there = true
  /** Called before each step that reads or writes. */
  meanwhile: () => void = () => {}
  readonly #now: () => number
  #next = 1

  constructor(now: () => number) {
    this.#now = now
  }

  /** As an editor that replaces files: a new file under the name. */
  put(path: string, content: string | Uint8Array): void {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
    this.files.set(path, { bytes, mtimeMs: this.#now(), inode: this.#next++, version: this.#next++ })
  }

  /** As `>>` and `sed` in place do: the same file. */
  overwrite(path: string, content: string): void {
    const file = this.files.get(path)
    if (file === undefined) return this.put(path, content)
    file.bytes = new TextEncoder().encode(content)
    file.mtimeMs = this.#now()
    file.version = this.#next++
  }

  text(path: string): string | undefined {
    const file = this.files.get(path)
    return file && new TextDecoder().decode(file.bytes)
  }

  delete(path: string): void {
    this.files.delete(path)
  }

  rename(from: string, to: string): void {
    const file = this.files.get(from)
    if (file === undefined) return
    this.files.delete(from)
    this.files.set(to, file)
  }

  /** All that it has, for comparisons. */
  content(): Record<string, string> {
    return Object.fromEntries([...this.files.keys()].sort().map((path) => [path, this.text(path) ?? '']))
  }

  async present(): Promise<boolean> {
    return this.there
  }

  async scan(path: string, skip: (path: string, directory: boolean) => boolean): Promise<Found[] | undefined> {
    if (!this.there) return undefined
    const start = path === '' ? '' : `${path}/`
    const found: Found[] = []
    for (const [each, file] of this.files) {
      if (each.startsWith(start) && !skip(each, false)) found.push(foundOf(each, file))
    }
    return found
  }

  async look(path: string): Promise<Found | undefined> {
    this.meanwhile()
    const file = this.files.get(path)
    if (file !== undefined) return foundOf(path, file)
    const isFolder = [...this.files.keys()].some((each) => each.startsWith(`${path}/`))
    return isFolder ? { path, type: 'directory', ...OF_FOLDERS } : undefined
  }

  async read(found: Found): Promise<Uint8Array | undefined> {
    this.meanwhile()
    const file = this.files.get(found.path)
    return file !== undefined && foundOf(found.path, file).stamp === found.stamp ? file.bytes : undefined
  }

  async replace(path: string, content: Uint8Array, how: { expected: Found | undefined }): Promise<Replaced> {
    this.meanwhile()
    const file = this.files.get(path)
    if ((file === undefined ? undefined : foundOf(path, file).stamp) !== how.expected?.stamp) return { type: 'changed' }
    const blocking = [...this.files.keys()].some((each) => each.startsWith(`${path}/`) || path.startsWith(`${each}/`))
    if (blocking) return { type: 'blocked', because: 'a folder or a file is in its place' }
    const retired = file === undefined ? undefined : this.#retire(file)
    this.put(path, content)
    return { type: 'done', found: foundOf(path, this.files.get(path)!), retired }
  }

  async remove(expected: Found, trash: TrashNote | undefined): Promise<Replaced | { type: 'removed' }> {
    this.meanwhile()
    const file = this.files.get(expected.path)
    if (file === undefined || foundOf(expected.path, file).stamp !== expected.stamp) return { type: 'changed' }
    this.files.delete(expected.path)
    if (trash !== undefined) {
      this.trash.push({ path: trash.path, bytes: file.bytes })
      return { type: 'removed' }
    }
    return { type: 'done', found: expected, retired: this.#retire(file) }
  }

  async copyToTrash(expected: Found, trash: TrashNote): Promise<void> {
    const file = this.files.get(expected.path)
    if (file !== undefined) this.trash.push({ path: trash.path, bytes: file.bytes })
  }

  async readRetired({ name }: Retired): Promise<Uint8Array | undefined> {
    return this.retired.get(name)?.bytes
  }

  async dropRetired({ name }: Retired): Promise<void> {
    this.retired.delete(name)
  }

  /** What a new process finds of an old one goes to the trash, if somebody has written to it since. */
  restart(): void {
    for (const [name, { bytes }] of this.retired) if (bytes !== this.#was.get(name)) this.leftovers.push(bytes)
    this.retired.clear()
  }

  #retire(file: MemoryFile): Retired {
    const name = String(this.#next++)
    this.retired.set(name, file)
    this.#was.set(name, file.bytes)
    return { name }
  }
}

const foundOf = (path: string, file: MemoryFile): Found => ({
  path,
  type: 'file',
  size: file.bytes.length,
  mtimeMs: file.mtimeMs,
  stamp: `${file.bytes.length} ${file.version} ${file.inode}`,
  inode: String(file.inode),
  executable: false,
})

const OF_FOLDERS = { size: 0, mtimeMs: 0, stamp: 'folder', inode: 'folder', executable: false } as const
