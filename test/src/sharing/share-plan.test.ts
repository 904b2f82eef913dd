import { readersOf, writersOf } from '@sealmesh/protocol/membership/access'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import {
  type Change,
  meshAfter,
  movedBetween,
  planShares,
  type Step,
  writersUnder,
} from '@sealmesh/node/service/share-plan'
import { loadSodium } from '@sealmesh/sodium/load'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type AgentSigner, admit, assign, host, type Machine, Scene, ungrant } from '../membership/scene.ts'

/** What `share set` signs, and what it says beforehand that would come of it. */

const sodium = await loadSodium()

class World {
  readonly scene = new Scene(sodium)
  readonly home: Machine
  readonly office: Machine
  readonly third: Machine
  readonly claude: AgentSigner
  readonly helper: AgentSigner

  constructor() {
    const { scene } = this
    ;[this.home, this.office, this.third] = ['home', 'office', 'third'].map((name) => scene.machine(name)) as [
      Machine,
      Machine,
      Machine,
    ]
    this.claude = scene.agent('claude')
    this.helper = scene.agent('helper')
    scene.found(this.home)
    for (const machine of [this.office, this.third]) scene.sign(scene.root, admit(machine))
    scene.sign(this.claude, host(this.claude, [this.home, this.office]))
    scene.sign(this.home, assign(this.claude, this.home, 1, null))
    scene.sign(this.helper, host(this.helper, [this.third]))
  }

  get mesh(): Mesh {
    return this.scene.fold()
  }

  plan(...changes: readonly [string, string][]): Step[] {
    const { mesh } = this
    const all = changes.map(([layer, to]): Change => ({ layer, to }))
    return planShares(mesh, mesh.agents.get(this.claude.id)!, all)
  }

  take(steps: readonly Step[]): void {
    for (const step of steps) {
      if (step.type === 'grant') {
        const { layer, to, access } = step
        this.scene.sign(this.home, { type: 'grant', agent: this.claude.id, layer, to, access })
      } else this.scene.sign(this.home, ungrant(this.claude, this.mesh.records.get(step.grant.record)!))
    }
  }

  set(...changes: readonly [string, string][]): string[] {
    const steps = this.plan(...changes)
    this.take(steps)
    return steps.map((step) => step.type)
  }

  readers(layer: string): string[] {
    return readersOf(this.mesh, this.claude.id, layer).map((node) => this.mesh.nodes.get(node)!.name)
  }

  writers(layer: string): string[] {
    return writersOf(this.mesh, this.claude.id, layer).map((node) => this.mesh.nodes.get(node)!.name)
  }
}

describe('share set', () => {
  test('several layers at once, to standbys, a node and the nodes of an agent', () => {
    const world = new World()
    expect(world.set(['semantic', 'standby'], ['episodic', 'third:write'], ['procedural', 'helper'])).toHaveLength(3)
    expect(world.readers('semantic').toSorted()).toEqual(['home', 'office'])
    expect(world.readers('procedural').toSorted()).toEqual(['home', 'third'])
    expect(world.writers('episodic').toSorted()).toEqual(['home', 'office', 'third'])
    expect(world.set(['semantic', 'standby'], ['episodic', 'third:write'])).toEqual([])
  })
  test('another access replaces the grant: the new one first, so that a reader misses nothing', () => {
    const world = new World()
    world.set(['episodic', 'third:write'])
    expect(world.set(['episodic', 'third'])).toEqual(['grant', 'ungrant'])
    expect([world.readers('episodic'), world.writers('episodic')].map((names) => names.includes('third'))).toEqual([
      true,
      false,
    ])
  })
  test('none ends all grants of the layer and of no other, and NAME:none those to that name', () => {
    const world = new World()
    world.set(['semantic', 'standby'], ['semantic', 'third'], ['episodic', 'third'])
    expect(world.set(['semantic', 'third:none'])).toEqual(['ungrant'])
    expect(world.readers('semantic').toSorted()).toEqual(['home', 'office'])
    expect(world.set(['semantic', 'none'])).toEqual(['ungrant'])
    expect([world.readers('semantic'), world.readers('episodic')]).toEqual([
      ['home'],
      expect.arrayContaining(['third']),
    ])
    expect(world.set(['semantic', 'none'])).toEqual([])
  })
  test('nothing is signed that the same call takes back', () => {
    const world = new World()
    expect(world.plan(['semantic', 'third'], ['semantic', 'none'])).toEqual([])
    expect(world.plan(['semantic', 'third'], ['semantic', 'third:write'])).toMatchObject([{ access: 'write' }])
  })
  test.each([
    ['semantic', 'nobody', 'NODE_UNKNOWN'],
    ['semantic', 'third:admin', 'USAGE'],
    ['semantic', 'third:write:read', 'USAGE'],
    ['session', 'third:write', 'USAGE'],
  ])('%s=%s is refused', (layer, to, code) => {
    expect(() => new World().plan([layer, to])).toThrow(expect.objectContaining({ code }))
  })
})

test('who wrote under a grant to an agent includes the hosts that it has lost', () => {
  const world = new World()
  world.set(['semantic', 'helper:write'])
  world.scene.sign(world.helper, host(world.helper, [world.office]))
  const { mesh } = world
  const agent = mesh.agents.get(world.claude.id)!
  const [given] = agent.grants
  expect(writersUnder(mesh, agent, given!).toSorted()).toEqual([world.third.id, world.office.id].toSorted())
})

test('a preview says exactly who reads and writes after the change, whatever came before', () => {
  const change = fc.record({
    layer: fc.constantFrom('semantic', 'episodic'),
    to: fc.constantFrom(
      'none',
      'standby',
      'standby:none',
      'office:write',
      'third',
      'third:write',
      'helper',
      'helper:none',
    ),
  })
  fc.assert(
    fc.property(fc.array(fc.array(change, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 }), (calls) => {
      const world = new World()
      for (const changes of calls) {
        const before = world.mesh
        const steps = world.plan(...changes.map(({ layer, to }) => [layer, to] as [string, string]))
        const agent = before.agents.get(world.claude.id)!
        const foreseen = meshAfter(before, agent, steps)
        const said = ['semantic', 'episodic'].map((layer) => movedBetween(before, foreseen, agent, layer))
        world.take(steps)
        const now = world.mesh
        expect(said).toEqual(['semantic', 'episodic'].map((layer) => movedBetween(before, now, agent, layer)))
        // The same again changes nothing, unless the call takes back what it gives.
        const last = new Map(changes.map((each) => [each.layer, each.to]))
        expect(world.plan(...last)).toEqual([])
      }
    }),
    { numRuns: 100 },
  )
})
