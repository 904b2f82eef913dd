import { constants, linkSync, lstatSync, renameSync, unlinkSync } from 'node:fs'
import { type FileHandle, lstat, mkdir, open, readdir, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { errnoOf } from '../keys/disk-failure.ts'
import { syncDirectory } from '../keys/durable-file.ts'
import { FILE_BYTES_MAX } from './core/limits.ts'
import { isOwnName, nameOf, OWN_PREFIX, parentOf } from './core/names.ts'
import type { FolderDisk, Found, Replaced, Retired, TrashNote } from './ports.ts'
import type { Trash } from './trash.ts'

/** A folder with more names than this is not one of memory or notes; looking at all of it would stall the node. */
const NAMES_MAX = 100_000
/** Calls to the file system at once: its four threads are shared with everything else. */
const LOOKS_AT_ONCE = 32
const BLOCKED: Readonly<Record<string, string>> = {
  ENOTDIR: 'a file is where a folder should be',
  EISDIR: 'a folder of that name is in its place',
  ENOTEMPTY: 'a folder of that name is in its place',
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the disk is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of this user is full',
  ENAMETOOLONG: 'the name is too long for this disk',
  EINVAL: 'this disk cannot have such a name',
  EILSEQ: 'this disk cannot have such a name',
}

/**
 * A real folder. Nothing is followed that is a link, nothing is written outside, and nothing is replaced or removed
 * that is not what was expected up to the last moment: what happens between that look and the rename is caught too,
 * since the old file keeps a second name until it has been looked at again.
 */
export class RealDisk implements FolderDisk {
  readonly #root: string
  readonly #trash: Trash
  readonly #newName: () => string

  /** `root`: without links in it. */
  constructor(root: string, trash: Trash, newName: () => string) {
    this.#root = root
    this.#trash = trash
    this.#newName = newName
  }

  async present(): Promise<boolean> {
    try {
      return (await lstat(this.#root)).isDirectory()
    } catch {
      return false
    }
  }

  async scan(path: string, skip: (path: string, directory: boolean) => boolean): Promise<Found[] | undefined> {
    const all: Found[] = []
    const queue = [path]
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      const names = await this.#names(next)
      // Only what was asked for tells whether it is there: a folder may vanish while others are looked at.
      if (names === undefined && next === path) return undefined
      for (const found of await this.#lookAll(next, names ?? [])) {
        if (skip(found.path, found.type === 'directory')) continue
        all.push(found)
        if (found.type === 'directory') queue.push(found.path)
      }
      if (all.length > NAMES_MAX)
        throw new Failure('FOLDER_UNUSABLE', `The folder has more than ${NAMES_MAX} names in it.`, {
          next: 'mirror a smaller folder, or exclude some with .sealmeshignore',
        })
    }
    return all
  }

  async look(path: string): Promise<Found | undefined> {
    return (await this.#isReached(path)) ? await this.#found(path) : undefined
  }

  async read(found: Found): Promise<Uint8Array | undefined> {
    let file: FileHandle | undefined
    try {
      if (!(await this.#isReached(found.path))) return undefined
      // Neither a link nor something that would block, such as a pipe that took the file's place.
      file = await open(this.#full(found.path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
      if ((await stampOf(file)) !== found.stamp) return undefined
      const bytes = await file.readFile()
      const same = (await stampOf(file)) === found.stamp && bytes.length === found.size
      return same && bytes.length <= FILE_BYTES_MAX ? bytes : undefined
    } catch {
      return undefined // Gone, or not ours to read: the next look says which.
    } finally {
      await file?.close()
    }
  }

  async replace(
    path: string,
    content: Uint8Array,
    how: { expected: Found | undefined; executable: boolean },
  ): Promise<Replaced> {
    const parent = parentOf(path)
    const temporary = this.#own(parent, '.new')
    try {
      const obstacle = await this.#makeParents(parent)
      if (obstacle !== undefined) return { type: 'blocked', because: obstacle }
      const now = await this.#found(path)
      if (now?.type === 'directory') return { type: 'blocked', because: 'a folder of that name is in its place' }
      if (now?.stamp !== how.expected?.stamp) return { type: 'changed' }
      const written = await this.#write(temporary, content, await this.#modeFor(path, how))
      // From here to the rename nothing else of this process runs.
      const retired = this.#swap(temporary, path, how.expected)
      if (retired === 'changed') return { type: 'changed' }
      await syncDirectory(this.#full(parent))
      return { type: 'done', found: { ...written, path }, retired }
    } catch (error) {
      const because = BLOCKED[errnoOf(error) ?? '']
      if (because === undefined) throw error
      return { type: 'blocked', because }
    } finally {
      await rm(this.#full(temporary), { force: true })
    }
  }

  async remove(expected: Found, trash: TrashNote | undefined): Promise<Replaced | { type: 'removed' }> {
    const { path } = expected
    const name = this.#aside(expected, trash === undefined ? 'old' : 'gone')
    try {
      if (!(await this.#isReached(path)) || (await this.#found(path))?.stamp !== expected.stamp)
        return { type: 'changed' }
      renameSync(this.#full(path), this.#full(name))
      if ((await this.#found(name))?.stamp !== expected.stamp) {
        // Written in between: back with it, unless there is another one by now. Then both are read.
        try {
          linkSync(this.#full(name), this.#full(path))
          unlinkSync(this.#full(name))
        } catch {
          await this.#trash.take(this.#full(name), { path, by: undefined })
        }
        return { type: 'changed' }
      }
      await syncDirectory(this.#full(parentOf(path)))
      if (trash === undefined) return { type: 'done', found: expected, retired: { name } }
      await this.#trash.take(this.#full(name), trash)
      await this.#removeEmpty(parentOf(path))
      return { type: 'removed' }
    } catch (error) {
      const because = BLOCKED[errnoOf(error) ?? '']
      if (because === undefined) throw error
      return { type: 'blocked', because }
    }
  }

  async copyToTrash(expected: Found, trash: TrashNote): Promise<void> {
    const bytes = await this.read(expected)
    if (bytes !== undefined) await this.#trash.keep(bytes, trash)
  }

  async readRetired({ name }: Retired): Promise<Uint8Array | undefined> {
    const found = await this.look(name)
    return found?.type === 'file' ? await this.read(found) : undefined
  }

  async dropRetired({ name }: Retired): Promise<void> {
    await rm(this.#full(name), { force: true })
    await this.#removeEmpty(parentOf(name))
  }

  /**
   * What a process that was killed left behind. Half-written files go, and so do replaced ones, unless a program has
   * written to them since: these, and what was on its way to the trash, are found there.
   */
  async clearLeftovers(skip: (path: string, directory: boolean) => boolean): Promise<void> {
    const all = await this.scan('', (path, directory) => !isOwnName(nameOf(path)) && skip(path, directory))
    for (const { path, type, stamp } of all ?? []) {
      if (type !== 'file' || !isOwnName(nameOf(path))) continue
      const { age, name, ending } = ASIDE.exec(nameOf(path))?.groups ?? {}
      if (name === undefined || (ending === 'old' && age === ageOf(stamp))) await rm(this.#full(path), { force: true })
      else await this.#trash.take(this.#full(path), { path: within(parentOf(path), name), by: undefined })
    }
  }

  readonly #full = (path: string): string => (path === '' ? this.#root : join(this.#root, path))

  #own(parent: string, rest: string): string {
    return within(parent, `${OWN_PREFIX}${this.#newName()}${rest}`)
  }

  /** A name that says what it was, for the process after one that was killed. */
  #aside({ path, stamp }: Found, ending: 'old' | 'gone'): string {
    return this.#own(parentOf(path), `-${ageOf(stamp)}-${nameOf(path)}.${ending}`)
  }

  async #names(path: string): Promise<string[] | undefined> {
    try {
      return await readdir(this.#full(path))
    } catch {
      return undefined
    }
  }

  async #lookAll(parent: string, names: readonly string[]): Promise<Found[]> {
    const all: Found[] = []
    for (let at = 0; at < names.length; at += LOOKS_AT_ONCE) {
      const looked = names.slice(at, at + LOOKS_AT_ONCE).map((name) => this.#found(within(parent, name)))
      for (const found of await Promise.all(looked)) if (found !== undefined) all.push(found)
    }
    return all
  }

  async #found(path: string): Promise<Found | undefined> {
    try {
      return foundOf(path, await lstat(this.#full(path), { bigint: true }))
    } catch {
      return undefined
    }
  }

  /** Whether every folder above is one, and no link. */
  async #isReached(path: string): Promise<boolean> {
    for (let parent = parentOf(path); parent !== ''; parent = parentOf(parent))
      if ((await this.#found(parent))?.type !== 'directory') return false
    return await this.present()
  }

  async #makeParents(parent: string): Promise<string | undefined> {
    // The folder itself is never made: where a disk is not mounted it would be made on another one.
    if (!(await this.present())) return 'the folder is not there'
    let path = ''
    for (const component of parent === '' ? [] : parent.split('/')) {
      path = within(path, component)
      let found = await this.#found(path)
      if (found === undefined) {
        await mkdir(this.#full(path)).catch((error: unknown) => {
          // Another file of it was faster; the next look says what it is.
          if (errnoOf(error) !== 'EEXIST') throw error
        })
        found = await this.#found(path)
      }
      if (found === undefined) return 'its folder is taken away again and again'
      if (found.type === 'link') return 'a link is where a folder should be'
      else if (found.type !== 'directory') return 'a file is where a folder should be'
    }
    return undefined
  }

  async #modeFor(path: string, { expected, executable }: { expected: Found | undefined; executable: boolean }) {
    const mode = expected === undefined ? 0o666 & ~UMASK : (await lstat(this.#full(path))).mode & 0o777
    return executable ? mode | ((mode & 0o444) >> 2) : mode & ~0o111
  }

  async #write(path: string, content: Uint8Array, mode: number): Promise<Found> {
    const file = await open(this.#full(path), 'wx', 0o600)
    try {
      await file.writeFile(content)
      await file.chmod(mode)
      await file.sync()
      return foundOf(path, await file.stat({ bigint: true }))
    } finally {
      await file.close()
    }
  }

  #swap(temporary: string, path: string, expected: Found | undefined): Retired | undefined | 'changed' {
    const [from, to] = [this.#full(temporary), this.#full(path)]
    if (expected === undefined) {
      try {
        // Fails where there is a file by now, which a rename would not.
        linkSync(from, to)
        return undefined
      } catch (error) {
        const code = errnoOf(error)
        if (code === 'EEXIST') return 'changed'
        if (!NO_LINKS.has(code ?? '')) throw error
        if (isThere(to)) return 'changed'
        renameSync(from, to)
        return undefined
      }
    }
    const name = this.#aside(expected, 'old')
    const old = this.#full(name)
    let kept: Retired | undefined = { name }
    try {
      linkSync(to, old)
    } catch (error) {
      if (!NO_LINKS.has(errnoOf(error) ?? '')) return 'changed'
      kept = undefined
    }
    const now = foundOf(path, lstatSync(kept === undefined ? to : old, { bigint: true }))
    if (now.stamp !== expected.stamp || foundOf(path, lstatSync(to, { bigint: true })).inode !== expected.inode) {
      if (kept !== undefined) unlinkSync(old)
      return 'changed'
    }
    renameSync(from, to)
    return kept
  }

  async #removeEmpty(directory: string): Promise<void> {
    for (let path = directory; path !== ''; path = parentOf(path)) {
      try {
        await rmdir(this.#full(path))
      } catch {
        return // Something is in it.
      }
    }
  }
}

/** With a name of 200 bytes these are fewer than the 255 that disks allow. */
const ASIDE = new RegExp(
  `^${OWN_PREFIX.replace('.', '\\.')}[0-9a-z]+-(?<age>[0-9a-z]+-[0-9a-z]+)-(?<name>.+)\\.(?<ending>old|gone)$`,
  's',
)

/** Size and time: which file it is, it stays under any name. */
const ageOf = (stamp: string): string =>
  stamp
    .split(':', 2)
    .map((part) => BigInt(part).toString(36))
    .join('-')

const within = (parent: string, name: string): string => (parent === '' ? name : `${parent}/${name}`)

/** Disks without second names for files, such as those of cameras and some networks. */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV'])
const UMASK = process.umask()

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

interface Stats {
  readonly size: bigint
  readonly mtimeNs: bigint
  readonly mtimeMs: bigint
  readonly ino: bigint
  readonly dev: bigint
  readonly mode: bigint
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
}

function foundOf(path: string, stats: Stats): Found {
  const inode = `${stats.dev}:${stats.ino}`
  return {
    path,
    type: stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : stats.isSymbolicLink() ? 'link' : 'other',
    size: Number(stats.size),
    mtimeMs: Number(stats.mtimeMs),
    stamp: `${stats.size}:${stats.mtimeNs}:${inode}`,
    inode,
    executable: (stats.mode & 0o111n) !== 0n && process.platform !== 'win32',
  }
}

const stampOf = async (file: FileHandle): Promise<string> => foundOf('', await file.stat({ bigint: true })).stamp
