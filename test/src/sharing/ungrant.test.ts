import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { NodeId } from '@sealmesh/protocol/ids'
import { judgeWith } from '@sealmesh/protocol/membership/judge'
import type { Cut } from '@sealmesh/protocol/membership/record'
import { recipientsOf, writersUnder } from '@sealmesh/node/service/share-plan'
import { loadSodium } from '@sealmesh/sodium/load'
import { describe, expect, test } from 'vitest'
import { admit, assign, blockBy, bySequence, grant, host, Scene, ungrant, upTo } from '../membership/scene.ts'

/** What still counts of writers when the grant that let them write ends. */

const sodium = await loadSodium()

function world() {
  const scene = new Scene(sodium)
  const [home, third, fourth] = ['home', 'third', 'fourth'].map((name) => scene.machine(name)) as [
    ReturnType<Scene['machine']>,
    ReturnType<Scene['machine']>,
    ReturnType<Scene['machine']>,
  ]
  const [claude, helper] = [scene.agent('claude'), scene.agent('helper')]
  scene.found(home)
  scene.sign(scene.root, admit(third))
  scene.sign(scene.root, admit(fourth))
  scene.sign(claude, host(claude, [home]))
  scene.sign(home, assign(claude, home, 1, null))
  scene.sign(helper, host(helper, [third]))
  const document: DocumentName = { agent: claude.id, layer: 'semantic' }
  return { scene, home, third, fourth, claude, helper, document }
}

describe('the end of a grant to an agent', () => {
  const ended = (writersOf: typeof writersUnder) => {
    const { scene, home, third, fourth, claude, helper, document } = world()
    const given = scene.sign(home, grant(claude, 'semantic', helper, 'write'))
    const heads = scene.heads()
    // The agent moves to another machine; what the first had written until then counts.
    const moved: Cut[] = [{ document, vector: upTo(third, 2) }]
    scene.sign(helper, host(helper, [fourth], { cuts: [{ node: third.id, cuts: moved }] }))
    const { mesh } = { mesh: scene.fold() }
    const agent = mesh.agents.get(claude.id)!
    const has = new Map([
      [third.id, upTo(third, 2)],
      [fourth.id, upTo(fourth, 1)],
    ])
    const cut: Cut = {
      document,
      vector: writersOf(mesh, agent, agent.grants[0]!).flatMap((node) => has.get(node) ?? []),
    }
    scene.sign(home, ungrant(claude, given, [cut]))
    const judge = judgeWith(scene.fold())
    const verdict = (machine: typeof third, sequence: number) =>
      judge(blockBy(machine, document, { mesh: scene.mesh, sequence, heads }), bySequence)
    return { third: [1, 2, 3].map((at) => verdict(third, at)), fourth: [1, 2].map((at) => verdict(fourth, at)) }
  }
  const beyond = { type: 'void', reason: 'BEYOND_CUT' }
  const fold = { type: 'fold' }

  test('keeps what was receipted of a machine that carried the agent then, and of the one that does now', () => {
    expect(ended(writersUnder)).toEqual({ third: [fold, fold, beyond], fourth: [fold, beyond] })
  })
  test('would void the first one, if only the machines of the moment were asked', () => {
    const ofTheMoment = (...[mesh, agent, { to }]: Parameters<typeof writersUnder>): NodeId[] => [
      ...recipientsOf(mesh, agent, to),
    ]
    expect(ended(ofTheMoment).third).toEqual([beyond, beyond, beyond])
  })
})

test('of two grants to one machine the end of one takes nothing from the other', () => {
  const { scene, home, third, claude, helper, document } = world()
  const own = scene.sign(home, grant(claude, 'semantic', third, 'write'))
  scene.sign(home, grant(claude, 'semantic', helper, 'write'))
  const heads = scene.heads()
  scene.sign(home, ungrant(claude, own, []))
  const judge = judgeWith(scene.fold())
  expect(judge(blockBy(third, document, { mesh: scene.mesh, sequence: 9, heads }), bySequence)).toEqual({
    type: 'fold',
  })
})
