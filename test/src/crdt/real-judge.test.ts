import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import { Document } from '@sealmesh/protocol/crdt/document'
import { HybridClock } from '@sealmesh/protocol/crdt/hybrid-time'
import { draftBlock, type Intent } from '@sealmesh/protocol/crdt/writer'
import { judgeWith } from '@sealmesh/protocol/membership/judge'
import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import { dice } from '@sealmesh/protocol/test-dice'
import { expect, test } from 'vitest'
import { admit, assign, host, type Machine, revoke, Scene } from '../membership/scene.ts'
import { incarnationId, NOW_MS, sodium } from './scene.ts'

/** Documents under the real membership log: what it ends comes last, and counts as if it had come first. */
class Desk {
  readonly scene: Scene
  readonly machine: Machine
  readonly blocks: Block[] = []
  document: Document
  readonly #name: DocumentName
  readonly #clock = new HybridClock()
  readonly #incarnation: ReturnType<typeof incarnationId>
  term: SignedRecord | null = null
  /** What it knew of the log when it wrote; all of it unless a test says otherwise. */
  known: readonly SignedRecord[] | undefined

  constructor(scene: Scene, machine: Machine, name: DocumentName, incarnation: number) {
    this.scene = scene
    this.machine = machine
    this.#name = name
    this.#incarnation = incarnationId(incarnation)
    this.document = new Document(name, sodium)
  }

  write(...intents: Intent[]): Block {
    const mesh = this.scene.fold(this.known ?? this.scene.records)
    const { body, hash } = this.term ?? {}
    const term = body?.type === 'assign' && hash !== undefined ? { number: body.term, assign: hash } : null
    const author = {
      mesh: mesh.id,
      node: this.machine.id,
      incarnation: this.#incarnation,
      signKey: this.machine.secret as never,
    }
    const world = { clock: this.#clock, nowMs: NOW_MS, logHeads: mesh.heads, term }
    const block = draftBlock(this.document, author, intents, world, sodium)
    this.receive(block)
    return block
  }

  set(key: string, value: string): Block {
    return this.write({ type: 'set', key, value })
  }

  receive(...blocks: readonly Block[]): void {
    const judge = judgeWith(this.scene.fold(this.known ?? this.scene.records))
    for (const block of blocks) this.blocks.push(...this.document.receive(block, judge, NOW_MS).arrived)
  }

  /** The log grew. */
  look(): boolean {
    this.known = undefined
    const judge = judgeWith(this.scene.fold())
    if (!this.document.needsRebuild(judge, NOW_MS)) return false
    this.document = Document.rebuild(this.#name, this.blocks, judge, NOW_MS, sodium)
    return true
  }
}

function household(layer: string) {
  const scene = new Scene(sodium)
  const [home, office] = [scene.machine('home'), scene.machine('office')]
  scene.found(home)
  scene.sign(home, admit(office))
  scene.sign(home.agent, host(home.agent, [home, office]))
  const first = scene.sign(home, assign(home.agent, home, 1, null))
  const document: DocumentName = { agent: home.agent.id, layer }
  const [a, b] = [new Desk(scene, home, document, 1), new Desk(scene, office, document, 2)]
  a.term = layer === 'session' ? first : null
  return { scene, home, office, first, document, a, b }
}

test('T-revoked-1: a revocation that arrives last leaves what its cut covers, and brings back what the rest had replaced', () => {
  const { scene, home, office, document, a, b } = household('semantic')
  a.set('k', 'from home')
  b.receive(...a.blocks)
  b.set('other', 'before the cut')
  a.receive(...b.blocks)
  const cut = { document, vector: a.document.vector }
  b.known = [...scene.records]
  b.set('k', 'beyond the cut')
  scene.sign(home, revoke(office, [cut]))
  a.receive(...b.blocks)
  expect(a.document.read('k')?.value).toBe('from home')
  expect(a.document.read('other')?.value).toBe('before the cut')
  expect(a.document.aside()).toMatchObject([{ reason: 'BEYOND_CUT' }])
  expect(b.document.read('k')?.value).toBe('beyond the cut')
  expect(b.look()).toBe(true)
  expect(b.document.digest()).toEqual(a.document.digest())
  expect(b.look()).toBe(false)
})

test('T-peer-11: after a takeover what the old holder wrote alone is late everywhere, whatever came first', () => {
  const { scene, home, office, first, a, b } = household('session')
  a.set('step', 'shared')
  b.receive(...a.blocks)
  const basis = [{ layer: 'session', vector: b.document.vector, digest: b.document.digest() }]
  a.known = [...scene.records]
  a.set('step', 'alone')
  a.set('untouched by office', 'alone')
  b.term = scene.sign(office, assign(home.agent, office, 2, first, basis))
  b.set('step', 'after the takeover')
  const { shuffled } = dice(7)
  a.receive(...b.blocks)
  expect(a.look()).toBe(true)
  b.receive(...shuffled(a.blocks))
  for (const desk of [a, b]) {
    expect(desk.document.read('step')?.value).toBe('after the takeover')
    expect(desk.document.read('untouched by office')).toBeUndefined()
    expect(desk.document.aside().map(({ reason, term }) => [reason, term])).toEqual([
      ['LATE', 1],
      ['LATE', 1],
    ])
    expect(desk.document.counts()).toMatchObject({ received: 4, folded: 2, late: 2, aside: 0, held: 0 })
  }
  expect(a.document.digest()).toEqual(b.document.digest())
})

test('a block made under records that have not come is held, and counts when they have', () => {
  const { scene, home, office, a, b } = household('semantic')
  const before = [...scene.records]
  scene.sign(home, admit(scene.machine('shed')))
  const block = b.set('k', 'made in knowledge of shed')
  a.known = before
  a.receive(block)
  expect(a.document.counts()).toMatchObject({ received: 1, held: 1 })
  expect(a.document.vector).toEqual(b.document.vector)
  expect(a.look()).toBe(true)
  expect(a.document.read('k')).toMatchObject({ value: 'made in knowledge of shed', author: office.id })
})
