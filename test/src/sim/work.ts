import { cutsOf } from '@sealmesh/node/service/context'
import { documentsOf } from '@sealmesh/node/failover/basis'
import { planTakeover } from '@sealmesh/protocol/failover/takeover'
import type { Written } from '@sealmesh/node/documents/documents'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import { isSingleWriter, readersOf } from '@sealmesh/protocol/membership/access'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { keyOf } from '@sealmesh/protocol/sync/peer-sync'
import type { Dice } from '@sealmesh/protocol/test-dice'
import { type Acknowledged, type Checks, PRIVATE_LAYER, SHARED_KEYS } from './checks.ts'
import type { Parameters } from './parameters.ts'
import type { Player } from './player.ts'
import type { SimulatedNode } from './simulated-node.ts'

/** In every value: found outside of a machine, something has leaked. */
export const CANARY = 'canary-in-clear'

const LOOK_EVERY_MS = 1_000
const WAITED_FOR_MAX = 200

export interface Act {
  readonly term: number
  readonly by: Player
  readonly atMs: number
}

export interface WorkDeps {
  readonly agent: AgentId
  readonly dice: Dice
  readonly parameters: Parameters
  readonly checks: Checks
  readonly nowMs: () => number
  readonly isOver: () => boolean
}

/** What agents and people do on every machine: write, act where they may, wait for acknowledgements, take over. */
export class Work {
  writes = 0
  refused = 0
  replicated = 0
  takeovers = 0
  readonly acts: Act[] = []
  readonly #deps: WorkDeps

  constructor(deps: WorkDeps) {
    this.#deps = deps
  }

  /** What a machine has lost of a layer that it reads no more, nobody gives back to it. */
  get #writesPrivate(): boolean {
    const { rollback, clone } = this.#deps.parameters
    return rollback === 0 && clone === 0
  }

  /** For one run of one node. */
  begin(player: Player, node: SimulatedNode): void {
    const { parameters } = this.#deps
    const waiting: Acknowledged[] = []
    this.#every(player, node, parameters.writeEveryMs, () => this.#write(player, node, waiting))
    this.#every(player, node, parameters.actEveryMs, () => this.#act(player, node))
    this.#every(player, node, LOOK_EVERY_MS, () => this.#look(player, node, waiting))
  }

  /** A person sits down at this machine, and confirms whatever they are shown. */
  takeOver(player: Player, node: SimulatedNode): void {
    const { agent, checks } = this.#deps
    const mesh = node.log.mesh
    const known = mesh.agents.get(agent)
    if (known === undefined || known.term?.holder === node.id || !known.hosts.includes(node.id)) return
    const vectors = new Map<string, VersionVector>()
    const before = this.takeovers
    const taken = async () => {
      // What is receipted between here and the record, an unwitnessed takeover leaves behind.
      checks.highestTerm = Math.max(checks.highestTerm, (known.term?.number ?? 0) + 1)
      for (const name of node.documents.names())
        if (name.agent === agent) vectors.set(keyOf(name), (await node.documents.open(name)).vector)
      checks.takenOver(player, vectors)
      const documents = (await documentsOf(node.documents, agent)).filter(({ layer }) => isSingleWriter(layer))
      const { signKey } = node.context
      const plan = (mesh: Mesh) => {
        const planned = planTakeover({ mesh, agent, node: node.id, documents, reason: `takeover ${before}` })
        if (!planned.ok) throw new Error(planned.error.code)
        return planned.value
      }
      await node.log.append(plan, { type: 'node', node: node.id }, signKey)
      this.takeovers += 1
      checks.termOf(player, node.log.mesh)
    }
    taken().catch(() => (this.refused += 1))
  }

  /** An admin removes a machine, with what it has of its blocks as the cut. */
  revoke(node: SimulatedNode, removed: NodeId): void {
    const { context } = node
    const signed = async () => {
      const cuts = await cutsOf(context, node.documents.names(), [removed])
      const body = { type: 'revoke', node: removed, reason: 'removed by the simulator', cuts } as const
      await node.log.append(body, { type: 'node', node: node.id }, context.signKey)
    }
    signed().catch(() => (this.refused += 1))
  }

  #every(player: Player, node: SimulatedNode, everyMs: number, run: () => void): void {
    const { dice, isOver } = this.#deps
    const again = () =>
      player.soon(everyMs * (0.5 + dice.random()), (present) => {
        if (present !== node || isOver()) return
        run()
        again()
      })
    again()
  }

  #write(player: Player, node: SimulatedNode, waiting: Acknowledged[]): void {
    const { agent, dice, checks } = this.#deps
    const isHolder = node.log.mesh.agents.get(agent)?.term?.holder === node.id
    const drawn = dice.random()
    const layer =
      isHolder && drawn < 0.6 ? (drawn < 0.1 && this.#writesPrivate ? PRIVATE_LAYER : 'session') : 'semantic'
    const name: DocumentName = { agent, layer }
    this.writes += 1
    const value = JSON.stringify(`${CANARY} ${player.name} ${this.writes}`)
    const unique = dice.random() < 0.5
    const key = unique ? `u${this.writes}` : dice.one(SHARED_KEYS)
    checks.issued(value)
    node.documents.write(name, [{ type: 'set', key, value }]).then(
      ([written]: Written[]) => {
        if (written === undefined || player.node !== node) return
        const entry = checks.answered({ name, hash: written.block, by: player, key: unique ? key : null, value })
        if (entry !== undefined && waiting.length < WAITED_FOR_MAX) waiting.push(entry)
      },
      () => (this.refused += 1),
    )
  }

  /** Where no lease says who may, the log does. */
  #act(player: Player, node: SimulatedNode): void {
    const { agent, nowMs } = this.#deps
    const term = node.log.mesh.agents.get(agent)?.term
    if (term?.holder === node.id) this.acts.push({ term: term.number, by: player, atMs: nowMs() })
  }

  #look(player: Player, node: SimulatedNode, waiting: Acknowledged[]): void {
    const { checks } = this.#deps
    checks.termOf(player, node.log.mesh)
    if (waiting.length === 0) return
    const { mesh } = node.log
    const said = new Map<string, VersionVector>()
    for (const { node: peer } of node.sync.peers())
      for (const { name, receipted } of node.sync.standings(peer)) said.set(peer + keyOf(name), receipted)
    const readersIn = readersOnce()
    for (let at = waiting.length - 1; at >= 0; at--) {
      const entry = waiting[at]!
      const { name, incarnation, sequence } = entry
      const readers = readersIn(mesh, name).filter((each) => each !== node.id)
      if (readers.length === 0) continue
      const isWith = (reader: string) =>
        said.get(reader + keyOf(name))?.some((dot) => dot.incarnation === incarnation && dot.sequence >= sequence)
      if (!readers.every(isWith)) continue
      // Under a term that is over it may be late by now.
      if (entry.term !== null && mesh.agents.get(name.agent)?.term?.record !== entry.term) continue
      // No witness keeps others from having taken over unheard.
      if (isSingleWriter(name.layer) && checks.highestTerm > (mesh.agents.get(name.agent)?.term?.number ?? 0)) continue
      entry.level = 'replicated'
      this.replicated += 1
      waiting.splice(at, 1)
    }
  }
}

/** Asked of one log once for each document. */
function readersOnce(): (mesh: Mesh, name: DocumentName) => readonly NodeId[] {
  const known = new Map<string, readonly NodeId[]>()
  return (mesh, name) => {
    const readers = known.get(name.layer) ?? readersOf(mesh, name.agent, name.layer)
    known.set(name.layer, readers)
    return readers
  }
}
