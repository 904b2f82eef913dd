import { expect, test } from 'vitest'
import { Failure } from '@sealmesh/protocol/errors'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { OwnAliases } from '../config/layer-names.ts'
import { layerOf } from '../config/layer-names.ts'
import { Places } from './places.ts'

const meshWith = (...agents: string[]): Mesh =>
  ({
    agents: new Map(agents.map((name) => [`id of ${name}`, { id: `id of ${name}`, name, hosts: [], grants: [] }])),
  }) as unknown as Mesh

function scene() {
  let names: OwnAliases = { aliases: { facts: 'semantic' }, agents: {} }
  const log = { mesh: meshWith('claude', 'codex') }
  const layers = {
    get names() {
      return names
    },
    meant: (agent: string, name: string) => layerOf(names, agent, name),
  }
  const places = new Places({ log, layers } as unknown as ConstructorParameters<typeof Places>[0])
  return { places, log, rename: (next: OwnAliases) => void (names = next) }
}

const codeOf = (work: () => unknown): string | undefined => {
  try {
    work()
  } catch (error) {
    return error instanceof Failure ? error.code : String(error)
  }
}

test('the second of one document is found as the first was, and so is the first of another', () => {
  const { places } = scene()
  for (const id of ['one', 'two.md', 'two/three'])
    expect(places.of(`claude.semantic.${id}`)).toEqual({
      umr: { agent: 'claude', region: 'semantic', id },
      text: `claude.semantic.${id}`,
      agent: expect.objectContaining({ name: 'claude' }),
      document: { agent: 'id of claude', layer: 'semantic' },
    })
  expect(places.of('codex.semantic.one').document).toEqual({ agent: 'id of codex', layer: 'semantic' })
  expect(places.of('codex.semantics.one').document).toEqual({ agent: 'id of codex', layer: 'semantics' })
})

test('an alias is written out each time', () => {
  const { places } = scene()
  for (const id of ['one', 'two'])
    expect(places.of(`claude.facts.${id}`)).toMatchObject({
      text: `claude.semantic.${id}`,
      umr: { region: 'semantic', id },
    })
})

test('an id that cannot be used is refused behind a good one', () => {
  const { places } = scene()
  places.of('claude.semantic.one')
  for (const id of ['', 'a\u0000b', '\ud800', 'x'.repeat(600)])
    expect(codeOf(() => places.of(`claude.semantic.${id}`))).toBe('UMR_INVALID')
})

test('what has been found is looked up again when the mesh or the names are others', () => {
  const { places, log, rename } = scene()
  places.of('claude.notes.one')
  rename({ aliases: { notes: 'episodic' }, agents: {} })
  expect(places.of('claude.notes.two').document.layer).toBe('episodic')
  log.mesh = meshWith('codex')
  expect(codeOf(() => places.of('claude.notes.three'))).toBe('AGENT_UNKNOWN')
})
