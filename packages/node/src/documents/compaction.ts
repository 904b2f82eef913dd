import { setTimeout as wait } from 'node:timers/promises'
import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { NodeId } from '@sealmesh/protocol/ids'
import { readersOf, waitedForBy, writersOf } from '@sealmesh/protocol/membership/access'
import { isLapsedFor } from '@sealmesh/protocol/membership/lapse'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Logger } from 'pino'
import type { Documents } from './documents.ts'
import type { Above } from './draw-base.ts'
import { Pace } from './pace.ts'

/** How far `history` reaches at least: of the last seven days the newest 64 MiB of a document's blocks (docs/spec/09-bases.md). */
export const HISTORY_MS = 7 * 24 * 60 * 60_000
export const HISTORY_BYTES = 64 * 1_048_576
/** What is not worth the reading: some thousand blocks. */
const FLOOR_BYTES = 1_048_576
/** A look reads all that is above the base, so not after every write; but no more than this comes in between. */
const LOOK_BYTES_MAX = 16 * 1_048_576
/** Once so much more than history lies above a base, drawing it comes before the comfort of writers. */
const URGENT_BYTES = 256 * 1_048_576
/** After a start others have more to do. */
const FIRST_AFTER_MS = 10_000
/** Documents that could not be compacted, for somebody has not receipted them or they are too young, wait this long. */
const AGAIN_AFTER_MS = 60 * 60_000
/** Documents looked at before others get a turn, when all are asked for their size. */
const LOOKED_AT_PER_TURN = 64

export interface CompactionOptions {
  readonly historyMs?: number
  readonly historyBytes?: number
  readonly floorBytes?: number
  readonly firstAfterMs?: number
}

export interface CompactionDeps extends CompactionOptions {
  readonly documents: Documents
  readonly node: NodeId
  readonly mesh: () => Mesh
  /** What a peer has receipted last. */
  readonly receipted: (peer: NodeId, name: DocumentName) => Promise<VersionVector>
  readonly log: Pick<Logger, 'info' | 'warn'>
  /** A document has been compacted. */
  readonly onDrawn?: (name: DocumentName) => void
}

interface Grown {
  readonly name: DocumentName
  /** Since the document was last looked at. */
  bytes: number
  worthIt: number
  /** What the last look found. */
  above: Above | undefined
}

/** For `status`. */
export interface CompactionFacts {
  readonly running: boolean
  readonly waiting: number
  readonly drawn: number
}

/**
 * Draws the bases of documents whose history has outgrown them, one at a time, beside everything else. A document is
 * compacted by its own node; nothing depends on another node doing it.
 */
export class Compaction {
  readonly #deps: CompactionDeps
  /** Bytes since the document was last looked at. */
  readonly #grown = new Map<string, Grown>()
  /** To be looked at, in this order. */
  readonly #queue = new Map<string, DocumentName>()
  /** Looked at, and to be looked at again later. */
  readonly #later = new Map<string, DocumentName>()
  readonly #stop = new AbortController()
  #working: Promise<void> | undefined
  #unlisten = () => {}
  #drawn = 0
  #commits = 0

  constructor(deps: CompactionDeps) {
    this.#deps = deps
  }

  get facts(): CompactionFacts {
    return { running: this.#working !== undefined, waiting: this.#later.size, drawn: this.#drawn }
  }

  /** Whether it was looked at, and nothing of it could go. */
  isWaiting(name: DocumentName): boolean {
    return this.#later.has(keyOf(name))
  }

  start(): void {
    this.#unlisten = this.#deps.documents.onCommit(({ name, blocks }) => this.#grew(name, blocks))
    void this.#every()
  }

  /** Stops between two steps: what it was at is as it was, or done. */
  async close(): Promise<void> {
    this.#unlisten()
    this.#stop.abort()
    await this.#working
  }

  /** Now, as far as history and receipts let it. True when there is a new base. */
  async compact(name: DocumentName): Promise<boolean> {
    const { documents, historyMs, historyBytes, floorBytes, mesh } = this.#deps
    const judged = mesh()
    // Who may not read it has a part of it, and cannot tell which tombstones stand alone.
    if (!readersOf(judged, name.agent, name.layer).includes(this.#deps.node)) return false
    const pace = new Pace({
      commits: () => this.#commits,
      isUrgent: () => this.#aboveOf(name) > (historyBytes ?? HISTORY_BYTES) + URGENT_BYTES,
      signal: this.#stop.signal,
    })
    pace.begin()
    const drawn = await documents.drawBase(name, {
      ...(await this.#receipts(judged, name)),
      historyMs: historyMs ?? HISTORY_MS,
      historyBytes: historyBytes ?? HISTORY_BYTES,
      floorBytes: floorBytes ?? FLOOR_BYTES,
      looked: (above) => {
        const grown = this.#grown.get(keyOf(name))
        if (grown !== undefined) grown.above = above
      },
      isOver: () => this.#stop.signal.aborted || mesh() !== judged,
      turn: () => pace.turn(),
    })
    if (drawn) {
      this.#drawn += 1
      this.#deps.onDrawn?.(name)
    }
    return drawn
  }

  /**
   * A base lies below what every other reader has, and every writer that was one. A tombstone is needed until all who
   * may write have met it, too, for one of them may be about to write beside it; where nobody else reads, nobody could
   * tell. Nobody waits for a node that has lapsed: when it returns it takes the base of somebody who did not
   * (docs/spec/09-bases.md §6).
   */
  async #receipts(
    mesh: Mesh,
    name: DocumentName,
  ): Promise<{ receipts: readonly VersionVector[]; writerReceipts: readonly VersionVector[] }> {
    const { node, receipted } = this.#deps
    const isWaitedFor = (each: NodeId) => each !== node && !isLapsedFor(mesh, each, name)
    const waited = waitedForBy(mesh, name.agent, name.layer).filter(isWaitedFor)
    const others = writersOf(mesh, name.agent, name.layer).filter((each) => isWaitedFor(each) && !waited.includes(each))
    const read = (peers: readonly NodeId[]) => Promise.all(peers.map((peer) => receipted(peer, name)))
    const receipts = await read(waited)
    return { receipts, writerReceipts: waited.length === 0 ? [] : [...receipts, ...(await read(others))] }
  }

  #grew(name: DocumentName, blocks: readonly Block[]): void {
    this.#commits += 1
    const key = keyOf(name)
    const floor = this.#deps.floorBytes ?? FLOOR_BYTES
    const grown: Grown = this.#grown.get(key) ?? { name, bytes: 0, worthIt: floor, above: undefined }
    for (const { bytes } of blocks) grown.bytes += bytes.length
    this.#grown.set(key, grown)
    if (grown.bytes < grown.worthIt || this.#isAllHistory(grown, blocks.at(-1)?.header.time.wallMs ?? 0)) return
    // What it keeps at best is what lives: the next look comes when that much has been written once more. Where nothing
    // may go for long, since somebody is away, looks that each read all of it become rarer.
    grown.bytes = 0
    const most = Math.max(LOOK_BYTES_MAX, (grown.above?.bytes ?? 0) / 2)
    grown.worthIt = Math.max(floor, Math.min(2 * grown.worthIt, most))
    this.#ask(name)
  }

  /** As far as is known without reading. */
  #aboveOf(name: DocumentName): number {
    const grown = this.#grown.get(keyOf(name))
    return grown === undefined ? 0 : grown.bytes + (grown.above?.bytes ?? 0)
  }

  /**
   * Of what the last look found and what has come since, too little is old or too large. A look reads what stays as well
   * as what goes, so the second must be as much as the first.
   */
  #isAllHistory({ bytes, above }: Grown, nowMs: number): boolean {
    const { historyBytes, historyMs } = this.#deps
    if (above === undefined || above.bytes + bytes > 2 * (historyBytes ?? HISTORY_BYTES)) return false
    return nowMs < above.oldestMs + (historyMs ?? HISTORY_MS)
  }

  #ask(name: DocumentName): void {
    if (this.#stop.signal.aborted) return
    this.#queue.set(keyOf(name), name)
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined
    })
  }

  /** Never rejects. */
  async #work(): Promise<void> {
    for (;;) {
      const [next] = this.#queue
      if (next === undefined || this.#stop.signal.aborted) return
      const [key, name] = next
      this.#queue.delete(key)
      this.#later.delete(key)
      try {
        const { mesh } = this.#deps
        const before = mesh()
        if (await this.compact(name)) this.#grown.delete(key)
        else if (mesh() !== before) this.#queue.set(key, name)
        else this.#later.set(key, name)
      } catch (error) {
        if (this.#stop.signal.aborted) return
        this.#later.set(key, name)
        this.#deps.log.warn({ err: error }, 'a document could not be compacted')
      }
    }
  }

  /** What has grown in earlier runs, soon after the start; then, now and then, what had to wait. */
  async #every(): Promise<void> {
    const { signal } = this.#stop
    try {
      await wait(this.#deps.firstAfterMs ?? FIRST_AFTER_MS, undefined, { signal, ref: false })
      let looked = 0
      for (const name of this.#deps.documents.names()) {
        if (++looked % LOOKED_AT_PER_TURN === 0) await wait(1, undefined, { signal, ref: false })
        if (await this.#deps.documents.isOvergrown(name, this.#deps.floorBytes ?? FLOOR_BYTES)) this.#ask(name)
      }
      for (;;) {
        await wait(AGAIN_AFTER_MS, undefined, { signal, ref: false })
        for (const name of [...this.#later.values()]) this.#ask(name)
      }
    } catch (error) {
      if (!signal.aborted) this.#deps.log.warn({ err: error }, 'documents are not compacted until the next start')
    }
  }
}

const keyOf = ({ agent, layer }: DocumentName): string => `${agent}.${layer}`
