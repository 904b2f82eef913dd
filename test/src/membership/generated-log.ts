import { foldMesh } from '@sealmesh/protocol/membership/fold'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { FAILOVER_MODES, type SignedRecord } from '@sealmesh/protocol/membership/record'
import * as fc from 'fast-check'
import { FakeSodium } from './fake-sodium.ts'
import {
  type AgentSigner,
  admit,
  assign,
  grant,
  host,
  lapse,
  type Machine,
  prekey,
  failover,
  recovery,
  rename,
  revoke,
  Scene,
  type Signer,
  syncSet,
  ungrant,
  upTo,
  witness,
} from './scene.ts'

/** Choices, as numbers that are taken modulo what there is to choose from. */
export interface Step {
  readonly kind: (typeof KINDS)[number]
  readonly signer: number
  readonly subject: number
  readonly other: number
  readonly past: 'heads' | number[]
  /** Signed by one who may, as far as the chosen past says; otherwise by anybody. */
  readonly legal: boolean
  readonly timeMs: number
}

const KINDS = [
  'admit',
  'revoke',
  'host',
  'grant',
  'ungrant',
  'assign',
  'prekey',
  'lapse',
  'relay',
  'rename',
  'recovery',
  'checkpoint',
  'witness',
  'failover',
  'sync',
] as const

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom(...KINDS, 'assign', 'assign', 'host', 'grant'),
  signer: fc.nat(99),
  subject: fc.nat(99),
  other: fc.nat(99),
  // Mostly what an honest node would do; often enough what a rogue or a partitioned one does.
  past: fc.oneof(fc.constant('heads' as const), fc.array(fc.nat(999), { minLength: 1, maxLength: 3 })),
  legal: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
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
  const agent = each.legal ? (agents[0] as AgentSigner) : pick(agents, each.other)
  const after = each.past === 'heads' ? latest(scene) : distinct(each.past.map((at) => pick(scene.records, at)))
  const options = { after, timeMs: each.timeMs }
  const view = each.legal ? viewOf(scene, after) : undefined
  const holder = machines.find(({ id }) => id === view?.agents.get(agent.id)?.term?.holder)
  const governors = machines.filter(({ id }) => {
    const node = view?.nodes.get(id)
    return node?.admin === true && node.revocations.length === 0
  })
  const by = view === undefined || governors.length === 0 ? pick(signers, each.signer) : pick(governors, each.signer)
  const speaker = view !== undefined && each.signer % 3 > 0 ? (holder ?? agent) : each.signer % 2 === 0 ? agent : by
  const cut = { document: { agent: agent.id, layer: 'semantic' }, vector: upTo(machine, (each.other % 3) + 1) }
  switch (each.kind) {
    case 'admit':
      scene.sign(by, admit(machine, each.other % 2 === 0), options)
      return
    case 'revoke':
      // Rarer than they are drawn, or nobody is left to do anything.
      if (each.other % 2 > 0) return
      scene.sign(by, revoke(machine, each.other % 4 === 0 ? [] : [cut]), options)
      return
    case 'lapse':
      scene.sign(by, lapse(machine, each.other % 4 === 0 ? [] : [cut]), options)
      return
    case 'host': {
      const nodes = machines.filter((_, i) => (((each.subject | 1) >> i) & 1) === 1)
      const cuts = machines.filter((one) => !nodes.includes(one)).map(({ id }) => ({ node: id, cuts: [cut] }))
      scene.sign(speaker, host(agent, nodes, { delegate: each.other % 5 !== 0, cuts }), options)
      return
    }
    case 'grant': {
      const to = [machine, pick(agents, each.subject), 'standby' as const][each.subject % 3] as Machine
      scene.sign(speaker, grant(agent, 'semantic', to, each.other % 2 ? 'read' : 'write'), options)
      return
    }
    case 'ungrant': {
      const grants = scene.records.filter(({ body }) => body.type === 'grant')
      if (grants.length === 0) return
      scene.sign(speaker, ungrant(agent, pick(grants, each.subject), [cut]), options)
      return
    }
    case 'assign': {
      const hosts = view?.agents.get(agent.id)?.hosts ?? []
      const taker = machines.find(({ id }) => id === pick([...hosts, machine.id], each.subject)) ?? machine
      const assigns = scene.records.filter(({ body }) => body.type === 'assign' && body.agent === agent.id)
      const seen = view?.agents.get(agent.id)?.term?.record
      const previous = assigns.find(({ hash }) => hash === seen) ?? pick(assigns.toReversed(), each.signer % 3) ?? null
      const number = previous?.body.type === 'assign' ? previous.body.term + (each.signer % 11 === 0 ? 2 : 1) : 1
      const vector = upTo(pick(machines, each.other), (each.signer % 3) + 1)
      const basis = [{ layer: 'session', vector, digest: new Uint8Array(32) }]
      const known = previous === null || view !== undefined ? after : distinct([...after, previous])
      scene.sign(taker, assign(agent, taker, number, previous, basis), { ...options, after: known })
      return
    }
    case 'prekey':
      scene.sign(each.legal ? machine : by, prekey(machine, each.timeMs, each.timeMs + 1 + each.other), options)
      return
    case 'rename':
      scene.sign(each.other % 2 ? machine : by, rename(machine, `m${each.other % 7}`), options)
      return
    case 'recovery':
      scene.sign(each.legal ? scene.root : by, recovery(machine), options)
      return
    case 'checkpoint':
      scene.sign(by, { type: 'checkpoint', digest: new Uint8Array(32).fill(each.other) }, options)
      return
    case 'witness':
      scene.sign(by, witness(...(each.other % 2 ? [machine] : machines.slice(0, 3))), options)
      return
    case 'failover':
      scene.sign(speaker, failover(agent, pick(FAILOVER_MODES, each.other)), options)
      return
    case 'sync': {
      const terms = scene.records.filter(({ body }) => body.type === 'assign' && body.agent === agent.id)
      if (terms.length === 0) return
      const members = machines.filter((one, i) => one === holder || ((each.subject >> i) & 1) === 1)
      scene.sign(holder ?? by, syncSet(agent, pick(terms.toReversed(), each.other % 3), members), options)
      return
    }
    case 'relay':
      scene.sign(
        by,
        { type: 'relay', relays: [{ address: `wss://r${each.other}`, relay: machine.id as never }] },
        options,
      )
  }
}

/** The mesh as one sees it who knows these records and what they follow. */
function viewOf(scene: Scene, after: readonly SignedRecord[]): Mesh {
  const byHash = new Map(scene.records.map((record) => [record.hash, record]))
  const seen = new Set(after)
  for (const record of seen) for (const parent of record.parents) seen.add(byHash.get(parent) as SignedRecord)
  return foldMesh(scene.mesh, seen, () => true, scene.sodium)
}

export const pick = <T>(all: readonly T[], at: number): T => all[at % all.length] as T

/** By what they say: who says the same at the same time twice has made one record, and no record names another twice. */
const distinct = (all: readonly SignedRecord[]): SignedRecord[] => [
  ...new Map(all.map((record) => [record.hash, record])).values(),
]

function latest(scene: Scene): SignedRecord[] {
  const heads = new Set(scene.heads())
  return distinct(scene.records.filter(({ hash }) => heads.has(hash))).slice(0, 64)
}
