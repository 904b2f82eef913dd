import type { Block } from '@sealmesh/protocol/crdt/block'
import { signBlock } from '@sealmesh/protocol/crdt/block-codec'
import { Document } from '@sealmesh/protocol/crdt/document'
import { dice } from '@sealmesh/protocol/test-dice'
import * as fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { history } from './history.ts'
import { foldAll, NAME, NOW_MS, sodium, stateOf } from './scene.ts'

// Many histories: on a busy machine they take long, and that says nothing of them.
vi.setConfig({ testTimeout: 180_000 })

const { secretKey } = sodium.signKeys('sign', new Uint8Array(32))
/** Longer by hand. */
const RUNS = Number(process.env.SEALMESH_RUNS ?? 400)
const LATER_MS = NOW_MS + 24 * 60 * 60_000

/** The same chains, with some of the Yjs updates spoilt: a writer may send any bytes under its own signature. */
function spoilt(blocks: readonly Block[], seed: number): Block[] {
  const { pick, random, one } = dice(seed)
  const tips = new Map<string, Block>()
  const updates = blocks.flatMap(({ writes }) =>
    writes.flatMap((write) => (write.type === 'text' ? [write.update] : [])),
  )
  return blocks.map((block) => {
    const { header } = block
    const [write] = block.writes
    let writes = block.writes
    if (write?.type === 'text' && random() < 0.3) {
      // Another block's words, or some bytes changed.
      const update = Uint8Array.from(random() < 0.2 ? one(updates) : write.update)
      for (let left = pick(3); left > 0; left--) {
        const at = pick(update.length)
        update[at] = random() < 0.5 ? pick(256) : (update[at]! ^ (1 << pick(8))) & 255
      }
      writes = [{ type: 'text', update }]
    }
    const previous = tips.get(header.incarnation)?.hash ?? null
    const made = signBlock({ ...header, previous, writes }, secretKey, sodium)
    tips.set(header.incarnation, made)
    return made
  })
}

test('T-peer-12: no bytes in a text block make a replica throw, wait in Yjs, or differ from the others', () => {
  const property = fc.property(fc.integer({ min: 1 }), (seed) => {
    const blocks = spoilt(history(seed, { texts: true, log: false, forks: false }).blocks, seed)
    const { shuffled } = dice(seed)
    const expected = stateOf(Document.rebuild(NAME, blocks, foldAll, LATER_MS, sodium))
    for (let round = 0; round < 2; round++) {
      const document = new Document(NAME, sodium)
      for (const block of shuffled(blocks)) {
        document.receive(block, foldAll, LATER_MS)
        expect(document.yDoc.store.pendingStructs).toBeNull()
        expect(document.yDoc.store.pendingDs).toBeNull()
      }
      expect(stateOf(document)).toEqual(expected)
    }
  })
  fc.assert(property, { numRuns: RUNS, endOnFailure: true, examples: [[805746387], [1513636710], [1077819016]] })
})

test('what a text makes of honest edits is folded, whatever stood beside it in the meantime', () => {
  const property = fc.property(fc.integer({ min: 1 }), (seed) => {
    const { blocks } = history(seed, { texts: true, log: false, forks: false })
    const document = new Document(NAME, sodium)
    for (const block of dice(seed).shuffled(blocks)) document.receive(block, foldAll, LATER_MS)
    expect(document.aside()).toEqual([])
  })
  fc.assert(property, { numRuns: Math.ceil(RUNS / 3), endOnFailure: true })
})
