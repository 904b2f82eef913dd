import { REGISTER_VALUE_BYTES_MAX } from '@sealmesh/protocol/limits'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readGraph } from './knowledge-graph.ts'

const graph = (...lines: readonly unknown[]) =>
  readGraph('graph.jsonl', lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'))
const entity = (name: string, observations: readonly string[] = [], entityType = 'person') => ({
  type: 'entity',
  name,
  entityType,
  observations,
})
const relation = (from: string, relationType: string, to: string) => ({ type: 'relation', from, to, relationType })
const ids = (memory: ReturnType<typeof readGraph>) => memory.items.map((item) => item.id)

describe('a knowledge graph', () => {
  test('becomes entities, observations and relations of the ontology', () => {
    const { items, skipped } = graph(
      entity('Ada', ['likes tea', 'likes rain']),
      entity('Bo'),
      relation('Ada', 'knows', 'Bo'),
    )
    expect(skipped).toEqual([])
    expect(items.every((item) => item.layer === 'ontology' && item.type === 'register')).toBe(true)
    expect(items.map((item) => item.id.replace(/[0-9a-f]{12}$/, 'HASH'))).toEqual([
      'entity:Ada',
      'observation:Ada/HASH',
      'observation:Ada/HASH',
      'entity:Bo',
      'relation:Ada/knows/Bo',
    ])
    const hashes = ids({ items, skipped })
      .filter((id) => id.startsWith('observation:'))
      .map((id) => id.slice(-12))
    expect(items[0]).toMatchObject({ value: { name: 'Ada', entityType: 'person', observations: hashes } })
    expect(items[1]).toMatchObject({ value: { of: 'Ada', observation: 'likes tea' } })
  })
  test('gives the same ids whatever the order of lines and observations', () => {
    const forwards = graph(entity('A', ['x', 'y']), entity('B', ['z']))
    const backwards = graph(entity('B', ['z']), entity('A', ['y', 'x']))
    expect(ids(forwards).toSorted()).toEqual(ids(backwards).toSorted())
  })
  test('reports damaged lines by number and takes the rest', () => {
    const { items, skipped } = graph(
      entity('A'),
      '{"type":"entity"',
      '',
      { type: 'entity', name: 'B' },
      { type: 'fact' },
      '7',
      entity('C'),
    )
    expect(items.map((item) => item.id)).toEqual(['entity:A', 'entity:C'])
    expect(skipped.map(({ where, invalid }) => [where, invalid])).toEqual([
      ['graph.jsonl:2', true],
      ['graph.jsonl:4', true],
      ['graph.jsonl:5', true],
      ['graph.jsonl:6', true],
    ])
  })
  test('adds the observations of a repeated entity to the first, and says so', () => {
    const { items, skipped } = graph(
      entity('A', ['x']),
      entity('A', ['x', 'y'], 'place'),
      relation('A', 'r', 'A'),
      relation('A', 'r', 'A'),
    )
    expect(items).toHaveLength(4)
    expect(skipped.map(({ where, invalid }) => [where, invalid])).toEqual([
      ['graph.jsonl:2', false],
      ['graph.jsonl:2', false],
      ['graph.jsonl:4', false],
    ])
  })
  test('keeps apart what a slash in a name would confuse', () => {
    const { items } = graph(relation('a/b', 'c', 'd'), relation('a', 'b/c', 'd'), relation('a%2Fb', 'c', 'd'))
    expect(new Set(items.map((item) => item.id)).size).toBe(3)
  })
  test('leaves out an observation that looks like a secret, and nothing else of its entity', () => {
    const { items, skipped } = graph(entity('A', ['likes tea', `token ghp_${'a1'.repeat(20)}`]))
    expect(items).toHaveLength(2)
    expect(skipped).toHaveLength(1)
    expect(JSON.stringify(skipped)).not.toContain('ghp_')
  })
  test('takes names that no id can hold under an id of their hash, and refuses what no register holds, with the line', () => {
    const names = ['x'.repeat(600), 'line\nbreak', 'ü'.repeat(400)]
    const { items, skipped } = graph(...names.map((name) => entity(name)), entity('x'.repeat(REGISTER_VALUE_BYTES_MAX)))
    expect(items).toMatchObject(names.map((name) => ({ value: { name } })))
    for (const { id } of items) expect(id).toMatch(/^entity:#[0-9a-f]{24}$/)
    expect(skipped.map(({ where }) => where)).toEqual(['graph.jsonl:4'])
  })
  test('is also read as the one object that read_graph answers', () => {
    const whole = {
      entities: [{ name: 'A', entityType: 't', observations: ['x'] }, 3],
      relations: [{ from: 'A', to: 'A', relationType: 'r' }],
    }
    const { items, skipped } = readGraph('graph.json', JSON.stringify(whole, null, 2))
    expect(items).toHaveLength(3)
    expect(skipped.map(({ where }) => where)).toEqual(['graph.json:entities[1]'])
  })
  test('never throws, and every line that holds something is an item or reported', () => {
    const line = fc.oneof(
      fc.json(),
      fc.string(),
      fc.constant(JSON.stringify(entity('A'))),
      fc.constant(JSON.stringify(relation('A', 'b', 'C'))),
    )
    fc.assert(
      fc.property(fc.array(line, { maxLength: 20 }), (lines) => {
        const text = lines.map((each) => each.replaceAll('\n', ' '))
        const { items, skipped } = readGraph('g', text.join('\n'))
        const told = new Set(skipped.map(({ where }) => where)).size + items.length
        expect(told).toBeGreaterThanOrEqual(text.filter((each) => each.trim() !== '').length)
      }),
    )
  })
})
