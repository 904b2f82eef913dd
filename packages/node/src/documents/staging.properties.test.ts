import { toHex } from '@sealmesh/protocol/bytes'
import type { Block } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { loadSodium } from '@sealmesh/sodium/load'
import * as fc from 'fast-check'
import { afterEach, beforeAll, expect, test } from 'vitest'
import { Compaction } from './compaction.ts'
import type { TestNode } from './fixture.ts'
import { cutShort, type Running, set, TestHomes, typeText } from './test-homes.ts'

/** Longer than anybody's base waits for another sender's. */
const STEP_MS = 11_000
const GIVEN_UP_MS = 61_000
/** When the test's log was written: lapses and returns are of this hour. */
const LOG_MS = 1_700_000_000_000
const STARTED_MS = Date.now()
const nowMs = (): number => LOG_MS + Date.now() - STARTED_MS
const NAMES = ['home', 'office', 'laptop'] as const
type Name = (typeof NAMES)[number]

type Action =
  | { readonly type: 'write'; readonly at: Name; readonly key: number; readonly kind: 'set' | 'delete' | 'text' }
  | { readonly type: 'send'; readonly from: Name; readonly to: Name; readonly bytes: number; readonly packets: number }
  | { readonly type: 'compact'; readonly at: Name }
  | { readonly type: 'lapse'; readonly who: 'office' | 'laptop' }
  | { readonly type: 'restart' }
  /** Office's disk takes so many more batches while others send to it; then it starts again. */
  | { readonly type: 'cut'; readonly from: Name; readonly batches: number; readonly bytes: number }

const name = fc.constantFrom(...NAMES)
const bytes = fc.constantFrom(300, 900, 4_000, 100_000)
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({
      type: fc.constant('write' as const),
      at: name,
      key: fc.nat(7),
      kind: fc.constantFrom('set', 'set', 'delete', 'text'),
    }),
  },
  {
    weight: 9,
    arbitrary: fc.record({
      type: fc.constant('send' as const),
      from: name,
      to: name,
      bytes,
      packets: fc.integer({ min: 1, max: 6 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('compact' as const), at: name }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('lapse' as const), who: fc.constantFrom('office', 'office', 'laptop') }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'restart' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('cut' as const),
      from: fc.constantFrom('home', 'laptop'),
      batches: fc.nat(5),
      bytes,
    }),
  },
)

const hears = (each: Action): boolean =>
  each.type === 'cut' || (each.type === 'send' && (each.from === 'office' || each.to === 'office'))
const some = (maxLength: number) => fc.array(action, { minLength: maxLength >> 1, maxLength })
const between = (from: Name, to: Name): Action => ({ type: 'send', from, to, bytes: 100_000, packets: 9 })
const ALL_MEET = [between('home', 'laptop'), between('laptop', 'home')]
/** Office hears nothing for a while, and the others move on; then anything may happen once more. */
const story = fc
  .tuple(some(20), some(30), some(14), some(40))
  .map(([before, silence, more, after]): Action[] => [
    ...before,
    ...ALL_MEET,
    { type: 'lapse', who: 'office' },
    ...silence.filter((each) => !hears(each)),
    ...ALL_MEET,
    { type: 'compact', at: 'home' },
    ...more.filter((each) => !hears(each)),
    ...ALL_MEET,
    { type: 'compact', at: 'laptop' },
    ...after,
  ])

let sodium: Sodium
let homes: TestHomes | undefined

beforeAll(async () => {
  sodium = await loadSodium()
})

afterEach(() => homes?.remove())

/** Three nodes that write one document; office is the one that falls silent, and sees the log only when it is sent to. */
class Scene {
  readonly homes: TestHomes
  readonly nodes: Record<Name, TestNode>
  readonly running = {} as Record<Name, Running>
  readonly written: { readonly by: Name; readonly block: Block }[] = []
  /** What each has heard of the others. */
  readonly #heard = new Map<Name, Map<NodeId, VersionVector>>()
  #officeMesh
  #skewMs = 0
  switches = 0

  constructor(made: TestHomes) {
    this.homes = made
    const { home, office, laptop, agent } = made.mesh
    this.nodes = { home, office, laptop }
    for (const to of [office, laptop])
      made.mesh.append(
        { type: 'grant', agent, layer: 'semantic', to: { type: 'node', node: to.id }, access: 'write' },
        'agent',
      )
    this.#officeMesh = made.mesh.mesh
  }

  async start(at: Name): Promise<void> {
    const running = await this.homes.start(at, this.nodes[at], {
      now: () => nowMs() + this.#skewMs,
      mesh: () => (at === 'office' ? this.#officeMesh : this.homes.mesh.mesh),
    })
    running.documents.onCommit(({ local, blocks }) => {
      if (local) for (const block of blocks) this.written.push({ by: at, block })
    })
    running.documents.onSwitched(() => (this.switches += 1))
    this.running[at] = running
    this.#heard.set(at, new Map())
  }

  async act(what: Action): Promise<void> {
    this.#skewMs += STEP_MS / 10
    switch (what.type) {
      case 'write': {
        const { documents } = this.running[what.at]
        const key = `k${what.key}`
        if (what.kind === 'text') await documents.editText(this.homes.semantic, typeText(0, `${this.written.length} `))
        else
          await documents.write(this.homes.semantic, [
            what.kind === 'set' ? set(key, `${what.at} ${this.written.length}`) : { type: 'delete', key },
          ])
        return
      }
      case 'send':
        if (what.from !== what.to) await this.send(what.from, what.to, what.bytes, what.packets)
        return
      case 'compact':
        return this.#compact(what.at)
      case 'lapse':
        return this.#lapse(what.who)
      case 'restart':
        return this.#restart()
      case 'cut': {
        const mend = cutShort(this.running.office, what.batches)
        await this.send(what.from, 'office', what.bytes, 8).catch(() => undefined)
        mend()
        return this.#restart()
      }
    }
  }

  /** A packet's log comes before what else it holds; what the receiver says then is its receipt. */
  async send(from: Name, to: Name, bytesMax: number, packets: number): Promise<void> {
    const { semantic } = this.homes
    const [sender, receiver] = [this.running[from].documents, this.running[to].documents]
    await this.#learn(from)
    await this.#learn(to)
    for (let sent = 0; sent < packets; sent++) {
      const delta = await sender.after(semantic, await receiver.claimOf(semantic), bytesMax)
      if (delta.pruned !== undefined) await receiver.receivePruned([delta.pruned], this.nodes[from].id)
      if (delta.blocks.length > 0) await receiver.receive(delta.blocks)
      if (!delta.more) break
    }
    this.#heard.get(from)?.set(this.nodes[to].id, await receiver.claimOf(semantic))
    this.#heard.get(to)?.set(this.nodes[from].id, await sender.claimOf(semantic))
    for (const at of [from, to]) await this.running[at].documents.reached(semantic, this.#heard.get(at) ?? new Map())
  }

  async settle(): Promise<void> {
    const { semantic } = this.homes
    for (let round = 0; round < 12; round++) {
      this.#skewMs += GIVEN_UP_MS
      for (const from of NAMES) for (const to of NAMES) if (from !== to) await this.send(from, to, 20_000, 40)
      const vectors = await Promise.all(NAMES.map((at) => this.running[at].documents.claimOf(semantic)))
      if (vectors.every((vector) => JSON.stringify(vector) === JSON.stringify(vectors[0]))) return
    }
  }

  async #learn(at: Name): Promise<void> {
    const { mesh } = this.homes
    const node = this.nodes[at]
    if (mesh.mesh.nodes.get(node.id)?.lapsed === true) {
      const key = new Uint8Array(32).fill(mesh.mesh.records.size)
      const days = { notBeforeMs: mesh.mesh.records.size, expiresMs: 10_000, mailboxes: new Uint8Array(32) }
      mesh.append({ type: 'prekey', node: node.id, publicKey: key as never, ...days }, node)
    } else if (at !== 'office' || this.#officeMesh === mesh.mesh) return
    if (at === 'office') this.#officeMesh = mesh.mesh
    await this.#judgeAgain()
  }

  async #judgeAgain(): Promise<void> {
    for (const at of NAMES) await this.running[at].documents.meshChanged()
  }

  async #compact(at: Name): Promise<void> {
    const compaction = new Compaction({
      documents: this.running[at].documents,
      node: this.nodes[at].id,
      mesh: () => (at === 'office' ? this.#officeMesh : this.homes.mesh.mesh),
      receipted: async (peer) => this.#heard.get(at)?.get(peer) ?? [],
      log: { info: () => {}, warn: () => {} },
      historyMs: -10_000_000,
      historyBytes: 0,
      floorBytes: 0,
    })
    await compaction.compact(this.homes.semantic)
  }

  async #lapse(who: 'office' | 'laptop'): Promise<void> {
    const { semantic, mesh } = this.homes
    const node = this.nodes[who]
    if (mesh.mesh.nodes.get(node.id)?.lapsed === true) return
    const own = new Set(this.written.flatMap(({ by, block }) => (by === who ? [block.header.incarnation] : [])))
    const vector = (await this.running.home.documents.vectorOf(semantic)).filter((dot) => own.has(dot.incarnation))
    mesh.append({ type: 'lapse', node: node.id, cuts: [{ document: semantic, vector }] }, mesh.home)
    await this.#judgeAgain()
  }

  async #restart(): Promise<void> {
    await this.homes.stop(this.running.office).catch(() => undefined)
    await this.start('office')
  }
}

async function stateOf({ documents }: Running, { semantic }: TestHomes) {
  const document = await documents.open(semantic)
  const keys = [...new Set([...document.keys(), ...document.conflicted()])].sort()
  const values = Object.fromEntries(keys.map((key) => [key, document.siblings(key).map(({ value }) => value ?? null)]))
  return { digest: toHex(document.digest()), vector: document.vector, values, text: document.text('notes') }
}

test('whoever lapses, compacts, returns and is cut when, all end equal, and nothing that was written is missing', async () => {
  let switches = 0
  await fc.assert(
    fc.asyncProperty(story, async (actions) => {
      await homes?.remove()
      homes = await TestHomes.make(sodium)
      const scene = new Scene(homes)
      for (const at of NAMES) await scene.start(at)
      for (const each of actions) await scene.act(each)
      await scene.settle()
      switches += scene.switches
      const states = await Promise.all(NAMES.map((at) => stateOf(scene.running[at], scene.homes)))
      expect(states[1]).toEqual(states[0])
      expect(states[2]).toEqual(states[0])
      // One that has every block, and no base.
      const witness = await homes.start('witness', homes.mesh.home, { now: () => nowMs() + 10_000_000 })
      await witness.documents.receive(scene.written.map(({ block }) => block.bytes))
      const { digest, values } = await stateOf(witness, homes)
      expect({ digest, values }).toEqual({ digest: states[0]!.digest, values: states[0]!.values })
      const apart = new Set((await witness.documents.open(homes.semantic)).aside().map(({ block }) => block.hash))
      for (const at of NAMES) {
        const document = await scene.running[at].documents.open(homes.semantic)
        const listed = new Map(document.aside().map(({ block }) => [block.hash, block.writes.length]))
        const ends = new Map(document.vector.map((dot) => [dot.incarnation, dot.sequence]))
        for (const { block } of scene.written) {
          expect(ends.get(block.header.incarnation)).toBeGreaterThanOrEqual(block.header.sequence)
          if (apart.has(block.hash)) expect(listed.get(block.hash)).toBe(block.writes.length)
        }
        expect(await scene.running[at].documents.examine(homes.semantic)).toMatchObject({ damaged: false })
      }
    }),
    { numRuns: Number(process.env['STAGING_RUNS'] ?? 12), endOnFailure: true },
  )
  expect(switches).toBeGreaterThan(0)
}, 240_000)
