import type { NodeId } from '@sealmesh/protocol/ids'
import type { Refused } from './core/refusals.ts'
import { ignoreRules, type IgnoreRules } from './core/ignore-rules.ts'
import { MassDeletion } from './core/mass-deletion.ts'
import { FolderTree, Readings } from './core/tree.ts'
import type { Arrival, BaseChange, BaseEntry, Found, MirrorDeps, Retired } from './ports.ts'

/** A name on the disk that is or could be a file of the folder. */
export interface DiskFile {
  readonly found: Found
  /** Why it is not carried; the document's content is not written over it either. */
  readonly blocked: Refused | undefined
  /** Changed within the resolution of its time: its stamp proves nothing. */
  readonly fresh: boolean
}

export interface Issue {
  readonly path: string
  readonly type: 'refused' | 'held' | 'pending'
  readonly direction: 'out' | 'in'
  readonly code: string
  readonly because: string
  readonly next: string
}

/** What happened that a person may want to know: the newest of them are shown. */
export interface Happening {
  readonly atMs: number
  readonly path: string
  readonly what: string
}
const HAPPENINGS_MAX = 100

interface RetiredFile {
  readonly retired: Retired
  readonly key: string
  readonly id: string
  readonly hash: string
  readonly text: string | undefined
  readonly atMs: number
}

/**
 * Everything that a mirror knows, shared by its steps. Keys are paths in NFC.
 * 1. A base entry names content that the document has taken in whole: what the disk has beyond it is still to go.
 * 2. Nothing is written over, or removed from, the disk unless its base entry has the stamp of what is there.
 */
export class MirrorState {
  readonly deps: MirrorDeps
  readonly base: Map<string, BaseEntry>
  readonly disk = new Map<string, DiskFile>()
  /** Folders as the disk spells them. */
  readonly directories = new Map<string, string>()
  readonly readings: Readings
  tree: FolderTree
  rules: IgnoreRules = ignoreRules('')
  /** To be looked at in this round. */
  dirty = new Set<string>()
  /** Paths of which a watcher said something, and when. */
  readonly touched = new Map<string, number>()
  /** To be looked at again at that time. */
  readonly later = new Map<string, number>()
  /** Since when a file of the base is not on the disk. */
  readonly missing = new Map<string, number>()
  /** In this round neither sent nor written over: not read, not stable, or not ours to send. */
  readonly waiting = new Set<string>()
  readonly heldOut = new Set<string>()
  readonly heldIn = new Set<string>()
  readonly massOut = new MassDeletion()
  readonly massIn = new MassDeletion()
  readonly issues = new Map<string, Issue>()
  readonly retired: RetiredFile[] = []
  /** Who last wrote each file, as its commits came. */
  readonly sources = new Map<string, Arrival>()
  readonly happenings: Happening[] = []
  /** When a file that another machine is to merge was first seen. */
  readonly behindSince = new Map<string, number>()
  /** A person has confirmed the deletions that are held. */
  confirmed = false
  /** What the folder has, and what this round adds to it. */
  totals = { text: 0, binary: 0 }
  added = { text: 0, binary: 0, files: 0 }
  /** Refusals that were told of, until they end. */
  readonly #told = new Map<string, string>()
  #changes = new Map<string, BaseChange>()

  constructor(deps: MirrorDeps, base: ReadonlyMap<string, BaseEntry>) {
    this.deps = deps
    this.base = new Map(base)
    this.readings = new Readings(deps.hashOf)
    this.tree = new FolderTree(this.readings)
  }

  startRound(): void {
    this.waiting.clear()
    this.added = { text: 0, binary: 0, files: 0 }
    this.totals = { text: 0, binary: 0 }
    for (const { kind, size } of this.base.values()) this.totals[kind] += size
  }

  setBase(key: string, entry: BaseEntry, text: string | undefined): void {
    this.base.set(key, entry)
    const before = this.#changes.get(key)
    this.#changes.set(key, { key, entry, text: text ?? before?.text })
  }

  /** A change that is on the disk already. */
  landed({ key, entry }: BaseChange): void {
    if (entry === undefined) this.base.delete(key)
    else this.base.set(key, entry)
    this.#changes.delete(key)
  }

  dropBase(key: string): void {
    if (this.base.delete(key)) this.#changes.set(key, { key, entry: undefined, text: undefined })
  }

  async baseText(key: string): Promise<string | undefined> {
    return this.#changes.get(key)?.text ?? (await this.deps.base.text(key))
  }

  async saveBase(): Promise<void> {
    const changes = this.#changes
    if (changes.size === 0) return
    this.#changes = new Map()
    try {
      await this.deps.base.commit([...changes.values()])
    } catch (error) {
      for (const [key, change] of changes) if (!this.#changes.has(key)) this.#changes.set(key, change)
      throw error
    }
  }

  again(key: string, atMs: number): void {
    this.later.set(key, Math.min(atMs, this.later.get(key) ?? Number.POSITIVE_INFINITY))
  }

  issue(key: string, issue: Omit<Issue, 'path'>): void {
    const name = `${issue.direction} ${key}`
    this.issues.set(name, { path: key, ...issue })
    if (issue.type !== 'refused' || this.#told.get(name) === issue.code) return
    this.#told.set(name, issue.code)
    const from = issue.direction === 'out' ? this.deps.document.node : this.tree.byPath.get(key)?.author
    this.deps.tell({ what: 'refused', path: key, because: issue.code, ...(from === undefined ? {} : { from }) })
  }

  noIssue(key: string, direction: 'out' | 'in'): void {
    const name = `${direction} ${key}`
    this.issues.delete(name)
    this.#told.delete(name)
  }

  note(path: string, news: 'merged' | 'copy', what: string): void {
    this.deps.tell({ what: news, path, because: what })
    this.happenings.unshift({ atMs: this.deps.now(), path, what })
    this.happenings.length = Math.min(this.happenings.length, HAPPENINGS_MAX)
  }

  sourceOf(id: string, author: NodeId, wallMs: number): Arrival {
    return this.sources.get(id) ?? { node: author, atMs: wallMs }
  }
}
