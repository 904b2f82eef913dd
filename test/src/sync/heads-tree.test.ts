import { createHash } from 'node:crypto'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { AgentId, BlockHash, IncarnationId } from '@sealmesh/protocol/ids'
import { HeadsTree } from '@sealmesh/protocol/sync/heads-tree'
import { loadSodium } from '@sealmesh/sodium/load'
import fc from 'fast-check'
import { expect, test } from 'vitest'

const sodium = await loadSodium()
const sha = (text: string): string => createHash('sha256').update(text).digest('hex')
const nameOf = (document: number): DocumentName => ({ agent: sha('agent') as AgentId, layer: `layer-${document}` })
const vectorOf = (sequence: number): VersionVector =>
  sequence === 0
    ? []
    : [{ incarnation: sha('i').slice(0, 32) as IncarnationId, sequence, hash: sha(`${sequence}`) as BlockHash }]

const contents = fc.dictionary(fc.nat(60).map(String), fc.nat(3), { maxKeys: 40 })

function treeOf(all: Record<string, number>): HeadsTree {
  const tree = new HeadsTree(sodium)
  for (const [document, sequence] of Object.entries(all)) tree.set(nameOf(Number(document)), vectorOf(sequence))
  return tree
}

test('however a state was reached, its root is that of a tree built from it alone', () => {
  fc.assert(
    fc.property(contents, fc.array(fc.tuple(fc.nat(60), fc.nat(3)), { maxLength: 60 }), (start, changes) => {
      const tree = treeOf(start)
      const all = { ...start }
      for (const [document, sequence] of changes) {
        tree.set(nameOf(document), vectorOf(sequence))
        if (document % 3 === 0) tree.root() // In between somebody asks.
        all[document] = sequence
      }
      expect(tree.root()).toEqual(treeOf(all).root())
      expect(tree.size).toBe(Object.values(all).filter((sequence) => sequence > 0).length)
    }),
  )
})

test('roots are equal exactly when the contents are, and buckets name every document that differs', () => {
  fc.assert(
    fc.property(contents, contents, (a, b) => {
      const [mine, theirs] = [treeOf(a), treeOf(b)]
      const differing = Object.keys(a).filter((document) => a[document] !== 0 && a[document] !== b[document])
      const named = new Set([...mine.differing(theirs.digests())].map(({ layer }) => layer))
      for (const document of differing) expect(named).toContain(nameOf(Number(document)).layer)
      const same = Object.keys({ ...a, ...b }).every((document) => (a[document] ?? 0) === (b[document] ?? 0))
      expect(Buffer.compare(mine.root(), theirs.root()) === 0).toBe(same)
      if (same) expect(named.size).toBe(0)
    }),
  )
})
