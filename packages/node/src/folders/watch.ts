import { type FSWatcher, watch } from 'node:fs'
import { join } from 'node:path'

/** Each takes one of the system's watches; beyond, the rescan has to do. */
const WATCHERS_MAX = 4_096

/**
 * Says which paths may have changed. One watch a folder: what Node offers for whole trees loses files on Linux that
 * are made in folders just made. It tells less than it seems: any event only means "look there", and a rescan finds
 * what it missed.
 */
export class FolderWatch {
  readonly #root: string
  readonly #touched: (path: string) => void
  readonly #watchers = new Map<string, FSWatcher>()
  #failed = false

  constructor(root: string, touched: (path: string) => void) {
    this.#root = root
    this.#touched = touched
  }

  /** False where the system gave out of watches: then only rescans see changes, and are made more often. */
  get complete(): boolean {
    return !this.#failed
  }

  /** Watches these folders and no others. */
  follow(directories: Iterable<string>): void {
    const wanted = new Set(['', ...directories])
    for (const [path, watcher] of this.#watchers) {
      if (wanted.has(path)) continue
      watcher.close()
      this.#watchers.delete(path)
    }
    this.#failed = false
    for (const path of wanted) if (!this.#watchers.has(path)) this.#add(path)
  }

  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
  }

  #add(path: string): void {
    if (this.#watchers.size >= WATCHERS_MAX) {
      this.#failed = true
      return
    }
    try {
      const watcher = watch(join(this.#root, path), { persistent: false }, (_, name) => {
        if (typeof name !== 'string') this.#touched(path)
        else this.#touched(path === '' ? name : `${path}/${name}`)
      })
      watcher.on('error', () => this.#lose(path))
      this.#watchers.set(path, watcher)
      // What was made in it before the watch was there.
      this.#touched(path)
    } catch (error) {
      // A folder that is gone by now needs none.
      if (error instanceof Error && 'code' in error && error.code !== 'ENOENT') this.#failed = true
    }
  }

  #lose(path: string): void {
    this.#watchers.get(path)?.close()
    this.#watchers.delete(path)
    this.#touched(path)
  }
}
