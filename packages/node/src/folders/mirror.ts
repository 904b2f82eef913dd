import type { Document } from '@sealmesh/protocol/crdt/document'
import { setEntry } from './plan.ts'
import type { Commit } from '../documents/documents.ts'
import { alive, CHUNK_PREFIX, idOfKey, idOfText } from './core/entry.ts'
import { RESCAN_MS, SETTLE_MS } from './core/limits.ts'
import { keyOf } from './core/names.ts'
import { FolderTree, type TreeFile } from './core/tree.ts'
import type { BaseEntry, MirrorDeps } from './ports.ts'
import { pull } from './pull.ts'
import { pushLocal } from './push.ts'
import { refresh } from './refresh.ts'
import { lookAtRetired, settle, tidy } from './settle.ts'
import { MirrorState } from './state.ts'

/** Once a day is enough for what waits for weeks. */
const TIDY_MS = 24 * 60 * 60_000
/** A save that goes on and on is read in between, or it would never be. */
const UNSETTLED_MS_MAX = 2_000

/**
 * One folder and one document, brought to say the same, round by round. It decides by what three views say: the disk,
 * the document, and what both last had in common. It has no timer and no watcher: `touch` and `changed` tell it what
 * may be new, and `round` does what is due and says when it wants to be called next.
 */
export class Mirror {
  readonly state: MirrorState
  /** Whether the folder was there in the last round. */
  present = true
  #rescanAtMs = Number.NEGATIVE_INFINITY
  #tidyAtMs = Number.NEGATIVE_INFINITY
  readonly #firstTouched = new Map<string, number>()
  #changedIds = new Set<string>()
  readonly #changedKeys = new Set<string>()
  #readAll = true
  #heldBefore = 0

  constructor(deps: MirrorDeps, base: ReadonlyMap<string, BaseEntry>) {
    this.state = new MirrorState(deps, base)
  }

  /** Something about this path on the disk; '' means anything. Gives when a round is due. */
  touch(path: string): number {
    const now = this.state.deps.now()
    this.#firstTouched.set(path, this.#firstTouched.get(path) ?? now)
    this.state.touched.set(path, now)
    return now + SETTLE_MS
  }

  /** What a commit did to the document; true when a round is due. */
  changed({ changes, blocks }: Pick<Commit, 'changes' | 'blocks'>): boolean {
    const before = this.#changedIds.size + this.#changedKeys.size
    // Changes name winners only; a value that stands beside the winner is in its block.
    for (const { writes } of blocks) for (const write of writes) if (write.type !== 'text') this.#changedKey(write.key)
    for (const change of changes) {
      if (change.type !== 'text') this.#changedKey(change.key)
      const id = change.type === 'text' ? idOfText(change.name) : idOfKey(change.key)
      if (id === undefined) continue
      this.#changedIds.add(id)
      this.state.sources.set(id, { node: change.author, atMs: change.time.wallMs })
    }
    // Built anew: which of its blocks count now nobody says.
    if (blocks.length === 0) this.#readAll = true
    return this.#readAll || this.#changedIds.size + this.#changedKeys.size > before
  }

  #changedKey(key: string): void {
    const id = idOfKey(key)
    if (id !== undefined) this.#changedIds.add(id)
    else if (key.startsWith(CHUNK_PREFIX)) {
      for (const { code, path } of this.state.issues.values())
        if (code === 'CONTENT_MISSING') this.#changedKeys.add(path)
    }
  }

  /** Rights have changed, or a path was named: everything is looked at again. */
  reconsider(): void {
    this.#rescanAtMs = Number.NEGATIVE_INFINITY
    this.state.disk.clear()
    this.state.issues.clear()
  }

  /** A person's word on the deletions that are held: they are carried out, or the files come back. */
  async confirm(keep: boolean): Promise<number> {
    const { state } = this
    const keys = [...state.heldOut, ...state.heldIn]
    if (keep) {
      for (const key of state.heldOut) {
        state.dropBase(key)
        state.missing.delete(key)
        state.dirty.add(key)
      }
      const revived = [...state.heldIn].flatMap((key) => state.tree.gone.get(state.base.get(key)?.id ?? '') ?? [])
      state.heldOut.clear()
      if (revived.length > 0)
        await state.deps.document.write(revived.map(({ id, entry, writes }) => setEntry(id, alive(entry), writes)))
    } else state.confirmed = true
    for (const key of keys) state.dirty.add(key)
    if (keys.length > 0)
      state.deps.tell({ what: keep ? 'kept' : 'confirmed', files: keys.length, from: state.deps.document.node })
    return keys.length
  }

  /** A round threw: what it was about is looked at again. */
  failed(): void {
    this.#rescanAtMs = Number.NEGATIVE_INFINITY
  }

  /** Gives the time at which it wants to be called again if nothing happens before. */
  async round(): Promise<number> {
    const { state } = this
    const now = state.deps.now()
    state.startRound()
    const rescan = now >= this.#rescanAtMs
    this.present = await refresh(state, rescan ? this.#takeAllTouched() : this.#takeTouched(now))
    if (!this.present) {
      this.#rescanAtMs = Number.NEGATIVE_INFINITY
      return now + RESCAN_MS / 10
    }
    if (rescan) {
      this.#rescanAtMs = now + RESCAN_MS
      this.#readAll = true
    }
    for (const [key, atMs] of state.later) {
      if (atMs > now) continue
      state.later.delete(key)
      if (key !== '') state.dirty.add(key)
    }
    for (const key of [...state.heldIn, ...state.heldOut]) state.dirty.add(key)
    // What no round could do before may be possible now.
    if (rescan) for (const path of state.tree.byPath.keys()) if (!state.base.has(path)) state.dirty.add(path)
    try {
      await this.#readDocument()
      await lookAtRetired(state)
      await pushLocal(state)
      await this.#readDocument()
      if (await settle(state)) await this.#readDocument()
      await pull(state)
      if (now >= this.#tidyAtMs) {
        this.#tidyAtMs = now + TIDY_MS
        await tidy(state)
      }
      state.confirmed = false
      state.dirty.clear()
      this.#tellOfHeld()
    } finally {
      await state.saveBase()
    }
    return this.#nextAtMs()
  }

  /** Before the process ends: a last look at what was replaced a moment ago. */
  async finish(): Promise<void> {
    try {
      await lookAtRetired(this.state, 0)
    } finally {
      await this.state.saveBase()
    }
  }

  /** Whether nothing is waiting to be done now. */
  get idle(): boolean {
    const { touched, later } = this.state
    return touched.size === 0 && later.size === 0 && this.#changedIds.size === 0 && this.#changedKeys.size === 0
  }

  /** The same, but for a last look at what was replaced a moment ago. */
  get inStep(): boolean {
    const { touched, later } = this.state
    const waiting = [...later.keys()].some((key) => key !== '')
    return touched.size === 0 && !waiting && this.#changedIds.size === 0 && this.#changedKeys.size === 0
  }

  #tellOfHeld(): void {
    const files = this.state.heldIn.size + this.state.heldOut.size
    if (files > this.#heldBefore) this.state.deps.tell({ what: 'held', files })
    this.#heldBefore = files
  }

  #nextAtMs(): number {
    const { state } = this
    let at = this.#rescanAtMs
    for (const later of state.later.values()) at = Math.min(at, later)
    for (const touched of state.touched.values()) at = Math.min(at, touched + SETTLE_MS)
    if (this.#changedIds.size > 0 || this.#changedKeys.size > 0) at = state.deps.now()
    return at
  }

  #takeTouched(now: number): string[] {
    const due: string[] = []
    for (const [path, last] of this.state.touched) {
      const first = this.#firstTouched.get(path) ?? last
      if (now - last >= SETTLE_MS || now - first >= UNSETTLED_MS_MAX) due.push(path)
    }
    for (const path of due) {
      this.state.touched.delete(path)
      this.#firstTouched.delete(path)
    }
    return due
  }

  #takeAllTouched(): string[] {
    this.state.touched.clear()
    this.#firstTouched.clear()
    return ['']
  }

  /** Marks the keys whose files are other ones now, or say something else. */
  async #readDocument(): Promise<void> {
    const { state } = this
    const ids = this.#changedIds
    this.#changedIds = new Set()
    for (const key of this.#changedKeys) state.dirty.add(key)
    this.#changedKeys.clear()
    const document: Document = await state.deps.document.open()
    let other = this.#readAll
    if (this.#readAll) state.readings.readAll(document)
    else for (const id of ids) if (state.readings.read(document, id)) other = true
    this.#readAll = false
    const before = state.tree
    if (other) {
      state.tree = new FolderTree(state.readings)
      for (const [id, file] of state.tree.files) markMoved(state, before.files.get(id), file)
      for (const [id, file] of before.files) if (!state.tree.files.has(id)) markMoved(state, file, undefined)
    }
    for (const id of ids) {
      const file = state.tree.files.get(id)
      if (file !== undefined) state.dirty.add(file.shown)
    }
  }
}

function markMoved(state: MirrorState, before: TreeFile | undefined, after: TreeFile | undefined): void {
  if (before === after || (before?.shown === after?.shown && before?.write === after?.write)) return
  for (const file of [before, after]) if (file !== undefined) state.dirty.add(keyOf(file.shown))
  const base = after === undefined ? undefined : state.base.get(after.shown)
  if (before === undefined && base !== undefined) state.dirty.add(after!.shown)
}
