import type { Intent } from '@sealmesh/protocol/crdt/writer'
import type { Grant } from '@sealmesh/protocol/membership/mesh'
import { writersUnder } from '@sealmesh/node/service/share-plan'
import { grant as granting, host, lapse, prekey, revoke, ungrant } from '../membership/scene.ts'
import { Oracle } from './oracle.ts'
import { type Checks, LAYERS, type Peer, REAL, World } from './simulation.ts'

/** What one run has shown; empty lists are what is hoped for. The seed names it. */
export interface Findings {
  readonly sentWithoutGrant: string[]
  readonly appliedWithoutRight: string[]
  readonly leftOutWithRight: string[]
  readonly different: string[]
  /** That the run was about something: blocks sent, ended grants, blocks that do not count. */
  readonly did: { sent: number; ended: number; void: number; equal: number; drawn: number }
}

/** Grants, revocations, changes of hosts and writes at random, over a network that loses, repeats and reorders. */
export function runSchedule(seed: number, checks: Checks = REAL): Findings {
  const world = new World(seed, checks)
  const { random, pick, one } = world.dice
  const findings: Findings = {
    sentWithoutGrant: [],
    appliedWithoutRight: [],
    leftOutWithRight: [],
    different: [],
    did: { sent: 0, ended: 0, void: 0, equal: 0, drawn: 0 },
  }
  const liar = random() < 0.4 ? one(world.peers.slice(1)) : undefined
  world.onSent = (from, to, block) => {
    findings.did.sent += 1
    const { agent, layer } = block.header.document
    if (!new Oracle(world.scene.records).reads(from.known, agent, layer, to.id))
      findings.sentWithoutGrant.push(`${from.machine.identity.name} sent ${layer} to ${to.machine.identity.name}`)
  }

  let steps = 25 + pick(30)
  // Bases lie below what all have: some runs come to rest half-way, and what follows meets them.
  const rest = random() < 0.4 ? pick(steps) : -1
  for (; steps > 0; steps--) {
    if (steps === rest) {
      world.heal()
      for (const peer of world.peers) if (peer !== liar && random() < 0.7) draw(world, peer, findings)
    }
    world.nowMs += pick(1_500)
    const what = random()
    if (what < 0.12) grantSomething(world)
    else if (what < 0.2) {
      findings.did.ended += endSomething(world)
      // The moment that counts: something is written and sent before the end has been worked out everywhere.
      if (random() < 0.4) {
        honestWrite(world, world.holder)
        world.holder.flush({ late: true })
      }
    } else if (what < 0.23) changeHosts(world)
    else if (what < 0.24) removeSomebody(world)
    else if (what < 0.25) takeOver(world, liar)
    else if (what < 0.27) lapseOrReturn(world)
    else if (what < 0.3) {
      const peer = one(world.peers)
      if (peer !== liar) draw(world, peer, findings)
    } else if (what < 0.48) honestWrite(world, one(world.peers))
    else if (what < 0.53 && liar !== undefined) dishonestWrite(world, liar)
    else if (what < 0.75) for (let some = 1 + pick(4); some > 0; some--) world.deliver({ faulty: true })
    else if (what < 0.9) one(world.peers).flush({ late: random() < 0.5 })
    else one(world.peers).tick()
  }
  for (const peer of world.peers) if (world.lapsed(peer.id) && !world.revoked(peer.id)) comeBack(world, peer)
  world.heal()
  judgeAll(world, findings)
  return findings
}

function grantSomething(world: World): void {
  const { dice, peers, claude, helper, holder } = world
  const to = dice.one([...peers.slice(1).map(({ machine }) => machine), helper, 'standby' as const])
  const layer = dice.one(LAYERS)
  const access = layer !== 'session' && dice.random() < 0.5 ? 'write' : 'read'
  world.sign(holder.machine, granting(claude, layer, to, access))
}

const live = ({ holder, claude }: World): Grant[] =>
  holder.mesh.agents.get(claude.id)?.grants.filter((grant) => grant.ended === null) ?? []

function endSomething(world: World): number {
  const { dice, claude, holder, scene } = world
  const grants = live(world)
  if (grants.length === 0) return 0
  const grant = dice.one(grants)
  const { mesh } = holder
  const writers = writersUnder(mesh, mesh.agents.get(claude.id)!, grant)
  const taken = scene.records.find(({ hash }) => hash === grant.record)!
  world.sign(holder.machine, ungrant(claude, taken, world.cutsOf([grant.layer], writers)))
  return 1
}

/** Of the agent itself, or of the one that grants name. */
function changeHosts(world: World): void {
  const { dice, peers, claude, helper, holder } = world
  const agent = dice.random() < 0.6 ? claude : helper
  const was = holder.mesh.agents.get(agent.id)?.hosts ?? []
  const others = peers.filter((peer) => (peer !== holder || agent === helper) && dice.random() < 0.5)
  const is = agent === claude ? [holder, ...others] : others
  if (is.length === 0) return
  const cuts = was
    .filter((node) => !is.some((peer) => peer.id === node))
    .map((node) => ({ node, cuts: world.cutsOf(LAYERS, [node]) }))
    .filter((each) => each.cuts.length > 0)
  world.sign(
    agent,
    host(
      agent,
      is.map(({ machine }) => machine),
      { cuts: cuts.toSorted((a, b) => (a.node < b.node ? -1 : 1)) },
    ),
  )
}

/** By a host in good standing that is honest: a liar would write another log. */
function takeOver(world: World, liar: Peer | undefined): void {
  const hosts = world.holder.mesh.agents.get(world.claude.id)?.hosts ?? []
  const able = world.peers.filter(
    (peer) => peer !== world.holder && peer !== liar && hosts.includes(peer.id) && !world.lapsed(peer.id),
  )
  if (able.length > 0) world.takeOver(world.dice.one(able))
}

function removeSomebody(world: World): void {
  const peer = world.dice.one(world.peers.slice(1))
  if (world.revoked(peer.id) || peer === world.holder) return
  // By the root's word, with what the holder knows: who governs is not what this is about.
  world.sign(world.scene.root, revoke(peer.machine, world.cutsOf(LAYERS, [peer.id])))
}

function draw(world: World, peer: Peer, { did }: Findings): void {
  if (!world.revoked(peer.id) && !world.lapsed(peer.id))
    for (const layer of LAYERS) if (peer.draw(layer)) did.drawn += 1
}

/** Nobody waits for it any more; or it is back, and knows of that: with its next prekey. */
function lapseOrReturn(world: World): void {
  const { dice, scene, peers } = world
  const peer = dice.one(peers)
  if (world.revoked(peer.id)) return
  if (world.lapsed(peer.id)) comeBack(world, peer)
  else if (peer !== world.holder) world.sign(scene.root, lapse(peer.machine, world.cutsOf(LAYERS, [peer.id])))
}
/** As a node does of itself when it hears that nobody waits for it. */
function comeBack(world: World, peer: Peer): void {
  peer.learn(world.scene.records.length)
  world.sign(peer.machine, prekey(peer.machine, world.nowMs, world.nowMs + PREKEY_MS))
}
const PREKEY_MS = 7 * 24 * 60 * 60_000

const KEYS = ['k0', 'k1', 'k2']

function somethingToWrite({ dice, blocks }: World): Intent[] | { text: string } {
  if (dice.random() < 0.3) return { text: `${blocks.size} ` }
  const key = dice.one(KEYS)
  return [dice.random() < 0.2 ? { type: 'delete', key } : { type: 'set', key, value: `"${blocks.size}"` }]
}

function honestWrite(world: World, peer: Peer): void {
  const layers = LAYERS.filter((layer) => peer.mayWrite(layer))
  if (layers.length > 0) peer.write(world.dice.one(layers), somethingToWrite(world))
}

/** Asks nobody, may say that it knew less of the log than it did, and pushes it at everyone. */
function dishonestWrite(world: World, liar: Peer): void {
  const { dice } = world
  const layer = dice.one(LAYERS)
  const claim = dice.random() < 0.5 ? liar.known : 1 + dice.pick(liar.known)
  liar.write(layer, somethingToWrite(world), claim)
  const own = (liar.stored.get(layer) ?? []).filter(({ header }) => header.author === liar.id)
  for (const peer of world.peers) if (peer !== liar) liar.pushAt(peer, own.slice(-3))
}

function judgeAll(world: World, findings: Findings): void {
  const oracle = new Oracle(world.scene.records)
  const { length } = world.scene.records
  for (const layer of LAYERS) {
    const readers = world.peers.filter((peer) => oracle.reads(length, world.claude.id, layer, peer.id))
    const states = new Map<string, string[]>()
    for (const peer of readers) {
      const { name } = peer.machine.identity
      if (peer.known !== length) findings.different.push(`${name} does not know the whole log`)
      const document = peer.document(layer)
      const aside = new Map(document.aside().map(({ block, reason }) => [block.hash, reason]))
      // A text that builds on what does not count is held with it.
      const settled = document.held === 0
      for (const block of [...(peer.stored.get(layer) ?? []), ...(peer.bases.get(layer)?.blocks ?? [])]) {
        const reason = aside.get(block.hash)
        const isText = block.writes[0]?.type === 'text'
        if (reason === undefined && (settled || !isText) && !oracle.counts(block))
          findings.appliedWithoutRight.push(`${name} applied ${layer} ${block.header.sequence}`)
        if (reason !== undefined && VOID.has(reason)) {
          findings.did.void += 1
          if (oracle.counts(block)) findings.leftOutWithRight.push(`${name} left out ${layer} (${reason})`)
        }
      }
      const digest = Buffer.from(document.digest()).toString('hex')
      states.set(digest, [...(states.get(digest) ?? []), name])
    }
    if (states.size > 1)
      findings.different.push(`${layer}: ${[...states.values()].map((names) => names.join('+')).join(' / ')}`)
    if (readers.length > 1) findings.did.equal += 1
  }
}

const VOID: ReadonlySet<string> = new Set([
  'LATE',
  'NOT_A_WRITER',
  'BEYOND_CUT',
  'WRONG_TERM',
  'UNKNOWN_AUTHOR',
  'LAPSED',
])

/** Everything that a run found wrong. */
export const wrongIn = (findings: Findings): string[] => [
  ...findings.sentWithoutGrant,
  ...findings.appliedWithoutRight,
  ...findings.leftOutWithRight,
  ...findings.different,
]
