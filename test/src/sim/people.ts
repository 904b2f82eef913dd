import { takeByPerson } from '@sealmesh/node/failover/by-person'
import { cutsOf, signAsHolder } from '@sealmesh/node/service/context'
import { prefixOf } from '@sealmesh/protocol/failover/prefix'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import { FAILOVER_MODES } from '@sealmesh/protocol/membership/record'
import type { Dice } from '@sealmesh/protocol/test-dice'
import type { Checks } from './checks.ts'
import type { Parameters } from './parameters.ts'
import type { Player } from './player.ts'
import type { SimulatedNode } from './simulated-node.ts'

export interface PeopleDeps {
  readonly agent: AgentId
  readonly dice: Dice
  readonly parameters: Parameters
  readonly checks: Checks
}

/** What people ask of the machines that they sit at; most of it is refused somewhere. */
export class People {
  handovers = 0
  readonly refused = new Map<string, number>()
  readonly #deps: PeopleDeps

  constructor(deps: PeopleDeps) {
    this.#deps = deps
  }

  takeOver(player: Player, node: SimulatedNode): void {
    const { agent, dice, parameters } = this.#deps
    const known = node.log.mesh.agents.get(agent)
    if (known === undefined || known.term?.holder === node.id || !known.hosts.includes(node.id)) return
    const force = dice.random() < parameters.forced
    const acceptDataLoss = dice.random() < parameters.lossAccepted ? 'nothing else is left' : undefined
    this.#try(takeByPerson(node.failover, node.log, agent, { reason: `by ${player.name}`, force, acceptDataLoss }))
  }

  /**
   * A standby asks whether it may, and somebody looks at last. Where the holder was removed what it alone knew of is
   * void, its sets among it, and whoever removed it has to say yes to that. No standby of a manual agent asks.
   */
  confirm(player: Player, node: SimulatedNode): void {
    const { agent } = this.#deps
    const { mesh } = node.log
    const term = mesh.agents.get(agent)?.term ?? null
    if (term === null) return
    const { type } = node.failover.standby.outlookOf(agent)
    const isManual = mesh.agents.get(agent)?.failover.mode === 'manual'
    if (term.holder === node.id && isTakenByRemoved(node, agent))
      return this.#try(takeByPerson(node.failover, node.log, agent, { reason: 'its taker was removed', force: true }))
    const isRemoved = (mesh.nodes.get(term.holder)?.revocations.length ?? 0) > 0
    if (type !== 'proposed' && !(isRemoved && (isManual || type === 'blocked'))) return
    const acceptDataLoss = isRemoved ? 'its machine was removed' : undefined
    const says = { reason: `confirmed by ${player.name}`, force: false, acceptDataLoss }
    this.#try(takeByPerson(node.failover, node.log, agent, says))
  }

  handOver(node: SimulatedNode): void {
    const { agent, dice } = this.#deps
    const known = node.log.mesh.agents.get(agent)
    const others = known?.hosts.filter((host) => host !== node.id) ?? []
    if (known?.term?.holder !== node.id || others.length === 0) return
    this.#try(node.failover.handover.run(agent, dice.one(others)).then(() => (this.handovers += 1)))
  }

  setMode(node: SimulatedNode): void {
    const { agent: id, dice } = this.#deps
    const agent = node.log.mesh.agents.get(id)
    if (agent?.term?.holder !== node.id) return
    const { durability } = agent.failover
    const body = { type: 'failover', agent: id, mode: dice.one(FAILOVER_MODES), durability } as const
    this.#try(signAsHolder(node.context, agent, body))
  }

  /** An admin removes a machine, with what it has of its blocks as the cut. */
  revoke(node: SimulatedNode, removed: NodeId): void {
    const { context } = node
    const { agent, checks } = this.#deps
    const signed = async () => {
      const cuts = await cutsOf(context, node.documents.names(), [removed])
      const body = { type: 'revoke', node: removed, reason: 'removed by the simulator', cuts } as const
      const known = new Set(node.log.mesh.agents.get(agent)?.terms.map(({ record }) => record))
      await node.log.append(body, { type: 'node', node: node.id }, context.signKey)
      checks.acts.removed(removed, known)
      node.tellRelayOfRevoked()
    }
    this.#try(signed())
  }

  #try(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      const code = (error as { code?: string }).code ?? String(error)
      this.refused.set(code, (this.refused.get(code) ?? 0) + 1)
    })
  }
}

/** Whoever took it out of this node's register was removed before anybody had heard of it. */
function isTakenByRemoved({ failover, log }: SimulatedNode, agent: AgentId): boolean {
  const taken = failover.lease.memory.taken.find((each) => each.agent === prefixOf(agent))
  return [...log.mesh.nodes.values()].some(
    ({ id, revocations }) => prefixOf(id) === taken?.holder && revocations.length > 0,
  )
}
