import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import * as fc from 'fast-check'
import { FakeSodium } from './fake-sodium.ts'
import {
  type AgentSigner,
  admit,
  assign,
  grant,
  host,
  type Machine,
  prekey,
  revoke,
  Scene,
  type Signer,
  ungrant,
  upTo,
} from './scene.ts'

/** Choices, as numbers that are taken modulo what there is to choose from. */
export interface Step {
  readonly kind: (typeof KINDS)[number]
  readonly signer: number
  readonly subject: number
  readonly other: number
  readonly past: 'heads' | number[]
  readonly timeMs: number
}

const KINDS = ['admit', 'revoke', 'host', 'grant', 'ungrant', 'assign', 'prekey', 'relay'] as const

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(...KINDS, 'assign', 'assign', 'host', 'grant'),
  signer: fc.nat(99),
  subject: fc.nat(99),
  other: fc.nat(99),
  // Mostly what an honest node would do; often enough what a rogue or a partitioned one does.
  past: fc.oneof(fc.constant('heads' as const), fc.array(fc.nat(999), { minLength: 1, maxLength: 3 })),
  timeMs: fc.nat(50), // Few values, so that times collide and run backwards.
})

export interface GeneratedLog {
  readonly scene: Scene
  readonly machines: readonly Machine[]
  readonly agents: readonly AgentSigner[]
}

/** Logs by five machines, three agents and the root, with forks, rogues, late words and false claims of knowledge. */
export const generatedLog = (maxLength = 40): fc.Arbitrary<GeneratedLog> =>
  fc.array(step, { minLength: 4, maxLength }).map(growLog)

export function growLog(steps: readonly Step[]): GeneratedLog {
  const scene = new Scene(new FakeSodium())
  const machines = ['m0', 'm1', 'm2', 'm3', 'm4'].map((name) => scene.machine(name))
  const [first, second, third] = machines as [Machine, Machine, Machine]
  const agents = machines.slice(0, 3).map(({ agent }) => agent)
  const log = { scene, machines, agents, [fc.toStringMethod]: () => JSON.stringify(steps) }
  // A mesh that works, so that what follows is mostly about something.
  scene.found(first)
  scene.sign(first, admit(second, true))
  scene.sign(first, admit(third))
  scene.sign(first.agent, host(first.agent, [first, second]))
  scene.sign(first, assign(first.agent, first, 1, null))
  for (const each of steps) takeStep(log, each)
  return log
}

function takeStep({ scene, machines, agents }: GeneratedLog, each: Step): void {
  const signers: Signer[] = [...machines, ...machines, ...agents, scene.root]
  const machine = pick(machines, each.subject)
  const agent = pick(agents, each.other)
  const after = each.past === 'heads' ? latest(scene) : distinct(each.past.map((at) => pick(scene.records, at)))
  const options = { after, timeMs: each.timeMs }
  const by = pick(signers, each.signer)
  const cut = { document: { agent: agent.id, layer: 'semantic' }, vector: upTo(machine, (each.other % 3) + 1) }
  switch (each.kind) {
    case 'admit':
      scene.sign(by, admit(machine, each.other % 2 === 0), options)
      return
    case 'revoke':
      scene.sign(by, revoke(machine, each.other % 3 === 0 ? [] : [cut]), options)
      return
    case 'host': {
      const nodes = machines.filter((_, i) => ((each.subject >> i) & 1) === 1)
      const cuts = machines.filter((one) => !nodes.includes(one)).map(({ id }) => ({ node: id, cuts: [cut] }))
      const speaker = each.signer % 2 === 0 ? agent : by
      scene.sign(speaker, host(agent, nodes, { delegate: each.subject % 4 !== 0, cuts }), options)
      return
    }
    case 'grant': {
      const to = [machine, pick(agents, each.subject), 'standby' as const][each.subject % 3] as Machine
      scene.sign(
        each.signer % 2 === 0 ? agent : by,
        grant(agent, 'semantic', to, each.other % 2 ? 'read' : 'write'),
        options,
      )
      return
    }
    case 'ungrant': {
      const grants = scene.records.filter(({ body }) => body.type === 'grant')
      if (grants.length === 0) return
      scene.sign(each.signer % 2 === 0 ? agent : by, ungrant(agent, pick(grants, each.subject), [cut]), options)
      return
    }
    case 'assign': {
      const assigns = scene.records.filter(({ body }) => body.type === 'assign' && body.agent === agent.id)
      const previous = assigns.length === 0 ? null : pick(assigns.toReversed(), each.signer % 3)
      const number = previous?.body.type === 'assign' ? previous.body.term + (each.signer % 7 === 0 ? 2 : 1) : 1
      const basis = [
        {
          layer: 'session',
          vector: upTo(pick(machines, each.other), (each.signer % 3) + 1),
          digest: new Uint8Array(32),
        },
      ]
      const known = previous === null ? after : distinct([...after, previous])
      scene.sign(machine, assign(agent, machine, number, previous, basis), { ...options, after: known })
      return
    }
    case 'prekey':
      scene.sign(by, prekey(machine, each.timeMs, each.timeMs + 1 + each.other), options)
      return
    case 'relay':
      scene.sign(
        by,
        { type: 'relay', relays: [{ address: `wss://r${each.other}`, relay: machine.id as never }] },
        options,
      )
  }
}

export const pick = <T>(all: readonly T[], at: number): T => all[at % all.length] as T

const distinct = <T>(all: readonly T[]): T[] => [...new Set(all)]

function latest(scene: Scene): SignedRecord[] {
  const heads = new Set(scene.heads())
  return scene.records.filter(({ hash }) => heads.has(hash)).slice(0, 64)
}
