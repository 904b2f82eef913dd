import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { AgentId } from '@sealmesh/protocol/ids'
import type { Grant, MeshAgent } from '@sealmesh/protocol/membership/mesh'
import { describe, expect, test } from 'vitest'
import { Layers } from './layers.ts'

const claude = {
  id: 'ab' as AgentId,
  name: 'claude',
  grants: [{ layer: 'plans' }] as unknown as Grant[],
} as unknown as MeshAgent
const documents = (...layers: string[]) => ({
  names: () => layers.map((layer): DocumentName => ({ agent: claude.id, layer })),
})
const own = {
  aliases: { journal: 'episodic', facts: 'atl' },
  agents: { claude: { aliases: { journal: 'semantic' } } },
}

describe('names of layers', () => {
  test("a region's name means its layer, and the owner's own names come first", () => {
    const layers = new Layers(() => own, documents())
    const meant = (agent: string, name: string) => layers.meant(agent, name)
    expect(['hippo', 'hippocampus', 'atl', 'nac', 'ec'].map((name) => meant('x', name))).toEqual([
      'episodic',
      'episodic',
      'semantic',
      'procedural',
      'ontology',
    ])
    expect([meant('x', 'journal'), meant('claude', 'journal')]).toEqual(['episodic', 'semantic'])
    expect(meant('x', 'facts')).toBe('semantic')
    expect([meant('constructor', 'name'), meant('x', 'constructor')]).toEqual(['name', 'constructor'])
  })
})

describe('a slip of the hand', () => {
  const refusal = (layer: string, ...there: string[]) => {
    try {
      new Layers(() => own, documents(...there)).refuseSlip(claude, layer, false)
      return undefined
    } catch (error) {
      return error
    }
  }
  test.each([
    ['semnatic', 'semantic'],
    ['episodc', 'episodic'],
    ['sessions', 'session'],
    ['plan', 'plans'],
    ['hipo', 'hippo'],
    ['jurnal', 'journal'],
    ['projcets', 'projects'],
  ])('%s is refused: did you mean %s?', (slip, meant) => {
    expect(refusal(slip, 'projects')).toMatchObject({
      code: 'LAYER_UNKNOWN',
      message: expect.stringContaining(`did you mean ${meant}?`),
    })
  })
  test.each(['semantic', 'notes', 'paper', 'projects', 'plans'])('%s is none', (layer) => {
    expect(refusal(layer, 'projects')).toBeUndefined()
  })
  test('one that is meant is remembered, and so is one that is there', () => {
    const layers = new Layers(() => own, documents())
    layers.refuseSlip(claude, 'semantics', true)
    expect(() => layers.refuseSlip(claude, 'semantics', false)).not.toThrow()
    expect(refusal('semantics', 'semantics')).toBeUndefined()
  })
})
