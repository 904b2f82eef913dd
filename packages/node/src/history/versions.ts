import type { Block } from '@sealmesh/protocol/crdt/block'
import type { Entry } from '@sealmesh/protocol/crdt/document'
import { compareTimes } from '@sealmesh/protocol/crdt/hybrid-time'
import { compareEntries } from '@sealmesh/protocol/crdt/register'
import { placeRuns } from '@sealmesh/protocol/crdt/placed-runs'
import type { TextRun } from '@sealmesh/protocol/crdt/text-run'
import * as Y from 'yjs'
import { type Hunk, hunksBetween } from './hunks.ts'

/** What one author types without a longer pause is one version: keystrokes are nobody's history. */
const TOGETHER_MS = 60_000

export interface Versions<T> {
  /** The latest first. */
  readonly latest: readonly T[]
  /** How many older ones there are in the blocks that are here. */
  readonly earlier: number
}

/** Every write to a register that is in `blocks`, whether it counts or not. */
export function registerVersions(blocks: Iterable<Block>, key: string, limit: number): Versions<Entry> {
  const found: Entry[] = []
  for (const { header, hash, writes } of blocks) {
    const { author, incarnation, sequence, time } = header
    for (const write of writes) {
      if (write.type === 'text' || write.key !== key) continue
      const value = write.type === 'set' ? write.value : undefined
      found.push({ dot: { incarnation, sequence, hash }, author, time, value })
    }
  }
  const latest = found.sort(compareEntries).slice(0, limit)
  return { latest, earlier: found.length - latest.length }
}

export interface TextVersion {
  /** The last of the edits that are taken together. */
  readonly last: Block
  readonly edits: number
  readonly hunks: readonly Hunk[]
}

/** What is left of the texts below a document's base, and the edits above it that count. */
export interface TextHistory {
  readonly runs: readonly TextRun[]
  readonly blocks: readonly Block[]
}

/** The edits of one text, replayed in the order of their times, which is an order in which each finds what it needs. */
export function textVersions({ runs, blocks }: TextHistory, name: string, limit: number): Versions<TextVersion> {
  const inOrder = textBlocks(blocks)
  const groups = groupsOf(touching(runs, inOrder, name))
  const shown = groups.slice(Math.max(0, groups.length - limit))
  const versions: TextVersion[] = []
  const replay = new Replay(runs, inOrder)
  for (const { first, last, edits } of shown) {
    replay.until(first)
    const before = replay.read(name)
    replay.until(last.at + 1)
    versions.push({ last: last.block, edits, hunks: hunksBetween(before, replay.read(name)) })
  }
  return { latest: versions.toReversed(), earlier: groups.length - shown.length }
}

/** What a text was at a time after the base; undefined before its first edit. */
export function textAt({ runs, blocks }: TextHistory, name: string, atMs: number): string | undefined {
  const inOrder = textBlocks(blocksUntil(blocks, atMs))
  const replay = new Replay(runs, inOrder)
  replay.until(inOrder.length)
  return replay.has(name) ? replay.read(name) : undefined
}

const textBlocks = (blocks: readonly Block[]): Block[] =>
  blocks
    .filter(({ writes }) => writes[0]?.type === 'text')
    .toSorted((a, b) => compareTimes(a.header.time, b.header.time))

interface Touch {
  readonly at: number
  readonly block: Block
}

/** Which of these edits changed this text; they name only what they stand on. */
function touching(runs: readonly TextRun[], inOrder: readonly Block[], name: string): Touch[] {
  const doc = new Y.Doc()
  placeRuns(doc, runs)
  let touched = false
  doc.getText(name).observe(() => {
    touched = true
  })
  const found: Touch[] = []
  for (const [at, block] of inOrder.entries()) {
    touched = false
    apply(doc, block)
    if (touched) found.push({ at, block })
  }
  return found
}

function groupsOf(touches: readonly Touch[]): { first: number; last: Touch; edits: number }[] {
  const groups: { first: number; last: Touch; edits: number }[] = []
  for (const touch of touches) {
    const open = groups.at(-1)
    const before = open?.last.block.header
    const { author, time } = touch.block.header
    if (open !== undefined && before?.author === author && time.wallMs - before.time.wallMs < TOGETHER_MS) {
      open.last = touch
      open.edits += 1
    } else groups.push({ first: touch.at, last: touch, edits: 1 })
  }
  return groups
}

class Replay {
  readonly #doc = new Y.Doc()
  readonly #blocks: readonly Block[]
  #next = 0

  constructor(runs: readonly TextRun[], blocks: readonly Block[]) {
    placeRuns(this.#doc, runs)
    this.#blocks = blocks
  }

  until(end: number): void {
    this.#doc.transact(() => {
      for (; this.#next < end; this.#next++) apply(this.#doc, this.#blocks[this.#next])
    })
  }

  /** Ask before `read`, which makes what it reads. */
  has(name: string): boolean {
    return this.#doc.share.has(name)
  }

  read(name: string): string {
    return this.#doc.getText(name).toString()
  }
}

function apply(doc: Y.Doc, block: Block | undefined): void {
  const write = block?.writes[0]
  if (write?.type === 'text') Y.applyUpdate(doc, write.update)
}

/** The blocks of a moment: times ascend along every chain, so this is a state that the document once had. */
export const blocksUntil = (blocks: readonly Block[], atMs: number): Block[] =>
  blocks.filter(({ header }) => header.time.wallMs <= atMs)
