import { setTimeout as pause } from 'node:timers/promises'
import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import type { Dot } from '@sealmesh/protocol/crdt/clock'
import { type ClosedLink, makeLink } from '@sealmesh/protocol/crdt/closed-set'
import { countMissing } from '@sealmesh/protocol/crdt/vector'
import type { BlockHash, ClosedDigest, IncarnationId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import { Compaction } from '../documents/compaction.ts'
import { blocksOfRuns } from '../documents/many-incarnations.ts'
import { type Running, TestHomes } from '../documents/test-homes.ts'
import { TestLine } from './test-line.ts'

/** Longer than receipts are put off. */
const QUIET_MS = 500

export const endOf = (incarnation: IncarnationId, hash = 'b1'): Dot => ({
  incarnation,
  sequence: 1,
  hash: hash.repeat(32) as BlockHash,
})

/** For tests: two homes on a line, and a document that many runs of both have written. */
export class ClosedScene {
  readonly homes: TestHomes
  readonly line: TestLine
  readonly sodium: Sodium

  private constructor(sodium: Sodium, homes: TestHomes) {
    this.sodium = sodium
    this.homes = homes
    this.line = new TestLine(sodium, () => homes.mesh.mesh)
    const { agent, office } = homes.mesh
    const to = { type: 'node', node: office.id } as const
    homes.mesh.append({ type: 'grant', agent, layer: 'semantic', to, access: 'write' }, 'agent')
  }

  static async make(): Promise<ClosedScene> {
    const sodium = await loadSodium()
    return new ClosedScene(sodium, await TestHomes.make(sodium))
  }

  /** The document that the tests are about. */
  get semantic(): DocumentName {
    return this.homes.semantic
  }

  start(which: 'home' | 'office', closedAtLeast?: number): Promise<Running> {
    return this.homes.start(which, this.homes.mesh[which], closedAtLeast === undefined ? {} : { closedAtLeast })
  }

  async join(home: Running, office: Running): Promise<void> {
    await this.line.join(this.homes.mesh.home.id, home)
    await this.line.join(this.homes.mesh.office.id, office)
  }

  async remove(): Promise<void> {
    for (const { id } of [this.homes.mesh.home, this.homes.mesh.office]) await this.line.leave(id)
    await this.homes.remove()
  }

  async fill(running: Running, count: number): Promise<void> {
    const { home, office } = this.homes.mesh
    const blocks = blocksOfRuns(this.homes, this.sodium, this.semantic, [home, office], count)
    const [report] = await running.documents.receive(blocks.map(({ bytes }) => bytes))
    if (report?.stored !== count) throw new Error(`Of ${count} blocks ${report?.stored} were stored.`)
  }

  /** All others have receipted what this one holds. */
  compact(running: Running, which: 'home' | 'office', other: Running = running): Promise<boolean> {
    const compaction = new Compaction({
      documents: running.documents,
      node: this.homes.mesh[which].id,
      mesh: () => this.homes.mesh.mesh,
      receipted: () => other.documents.vectorOf(this.semantic),
      log: { info: () => {}, warn: (fields: unknown) => void running.warnings.push(fields) },
      historyMs: -60_000,
      historyBytes: 0,
      floorBytes: 0,
    })
    return compaction.compact(this.semantic)
  }

  /** A set of one link, of runs that end with a made-up block. */
  linkOf(incarnations: readonly IncarnationId[], hash = 'b1'): ClosedLink {
    const entries = incarnations.toSorted().map((incarnation) => endOf(incarnation, hash))
    const document = documentIdOf(this.semantic, this.sodium)
    return makeLink({ document, parent: null, count: entries.length, entries }, this.sodium)
  }

  async floorOf(running: Running): Promise<ClosedDigest | null> {
    return (await running.closed.floorsOf(this.semantic)).current
  }

  async blockOf(running: Running, key: string): Promise<Block> {
    const { above } = await running.documents.stored(this.semantic)
    return above.find(({ writes: [write] }) => write?.type === 'set' && write.key === key)!
  }

  /** Resolves when both hold the same. */
  async together(a: Running, b: Running): Promise<void> {
    const { semantic } = this
    await until(150_000, 500, async () => {
      const [of, other] = [await a.documents.vectorOf(semantic), await b.documents.vectorOf(semantic)]
      const missing = countMissing(other, of) + countMissing(of, other)
      return missing > 0 ? `They differ by ${missing} blocks.` : undefined
    })
  }

  /** Resolves when all that was written is receipted and no packet has gone for longer than a receipt is put off. */
  async quiet(): Promise<void> {
    for (let before = -1; before !== this.line.sizes.length; ) {
      await until(60_000, 50, () => (this.line.waiting() > 0 ? 'Something is still on its way.' : undefined))
      before = this.line.sizes.length
      await pause(QUIET_MS)
    }
  }
}

/** Resolves when `problem` finds none; rejects with what it said last. */
async function until(
  boundMs: number,
  everyMs: number,
  problem: () => Promise<string | undefined> | string | undefined,
): Promise<void> {
  for (const endMs = performance.now() + boundMs; ; await pause(everyMs)) {
    const said = await problem()
    if (said === undefined) return
    if (performance.now() > endMs) throw new Error(said)
  }
}
