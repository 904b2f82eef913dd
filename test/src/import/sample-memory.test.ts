import { join } from 'node:path'
import { readMemory } from '@sealmesh/node/import/read-memory'
import { expect, test } from 'vitest'
import { ROOT } from '../architecture/sources.ts'

/** What the demo shows is what the issue promises: an agent's memory of real size, read whole. */
const sample = (name: string) => readMemory(join(ROOT, 'examples/memory', name))

test('the sample notes give over 300 facts and a dozen texts, and nothing is left out', async () => {
  const { items, skipped } = await sample('claude')
  const facts = items.filter(
    (item) => item.type === 'register' && item.id.includes('/') && !item.id.endsWith('#front-matter'),
  )
  expect(skipped).toEqual([])
  // A formatter once ran over these notes and took their front matter apart.
  expect(items.filter((item) => item.id.endsWith('#front-matter'))).toHaveLength(17)
  expect(facts.length).toBeGreaterThan(300)
  expect(items.filter((item) => item.type === 'text').length).toBeGreaterThanOrEqual(12)
  expect(new Set(items.map((item) => item.layer))).toEqual(new Set(['semantic', 'episodic', 'procedural']))
})

test('the sample graph gives over 150 entities, 200 relations and several hundred observations', async () => {
  const { items, skipped } = await sample('graph.jsonl')
  const count = (prefix: string) => items.filter((item) => item.id.startsWith(prefix)).length
  expect(skipped).toEqual([])
  expect(count('entity:')).toBeGreaterThan(140)
  expect(count('relation:')).toBeGreaterThan(200)
  expect(count('observation:')).toBeGreaterThan(200)
})

test('no two items of the sample share a name', async () => {
  for (const name of ['claude', 'graph.jsonl']) {
    const { items } = await sample(name)
    const names = items.map((item) => `${item.layer}.${item.id}`)
    expect(new Set(names).size).toBe(names.length)
  }
})
