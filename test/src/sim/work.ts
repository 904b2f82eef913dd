import type { Written } from '@sealmesh/node/documents/documents'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { LEVELS } from '@sealmesh/protocol/failover/levels'
import type { AgentId } from '@sealmesh/protocol/ids'
import type { Dice } from '@sealmesh/protocol/test-dice'
import { type Acknowledged, type Checks, PRIVATE_LAYER, SHARED_KEYS } from './checks.ts'
import type { Parameters } from './parameters.ts'
import type { Player } from './player.ts'
import type { SimulatedNode } from './simulated-node.ts'

/** In every value: found outside of a machine, something has leaked. */
export const CANARY = 'canary-in-clear'

const LOOK_EVERY_MS = 1_000
const WAITED_MS = 9_000
const NEVER = new AbortController().signal

export interface WorkDeps {
  readonly agent: AgentId
  readonly dice: Dice
  readonly parameters: Parameters
  readonly checks: Checks
  readonly note: (what: string, value: number) => void
  readonly isOver: () => boolean
}

/** What agents do on every machine: write, act where they may, wait for acknowledgements. */
export class Work {
  writes = 0
  refused = 0
  readonly #deps: WorkDeps

  constructor(deps: WorkDeps) {
    this.#deps = deps
  }

  /** For one run of one node. */
  begin(player: Player, node: SimulatedNode): void {
    const { checks, parameters } = this.#deps
    const { log } = node
    const append = log.append.bind(log)
    // Its number is that of the log as it is when it is signed, which may have grown since somebody asked for it.
    log.append = (body, ...given) =>
      append(
        async (mesh) => {
          const now = typeof body === 'function' ? await body(mesh) : body
          if (now.type === 'assign') checks.acts.byLog(now.term)
          return now
        },
        ...given,
      )
    this.#every(player, node, parameters.writeEveryMs, () => this.#writeSome(player, node))
    this.#every(player, node, parameters.actEveryMs, () => this.act(player, node))
    this.#every(player, node, LOOK_EVERY_MS, () => checks.termOf(player, node.log.mesh))
  }

  act(player: Player, node: SimulatedNode): boolean {
    const { agent, checks, note } = this.#deps
    const judged = node.failover.mustHold(agent)
    if (!judged.ok) return false
    const { term, witnessed } = judged.value
    note(`${player.name} acts`, term.number)
    checks.acts.add({ term: term.number, record: term.record, by: node.id, name: player.name, witnessed })
    return true
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

  #writeSome(player: Player, node: SimulatedNode): void {
    const { dice, parameters } = this.#deps
    for (let left = 1 + dice.pick(2 * parameters.together - 1); left > 0; left--) this.#write(player, node)
  }

  #write(player: Player, node: SimulatedNode): void {
    const { agent, dice, checks } = this.#deps
    const isHolder = node.log.mesh.agents.get(agent)?.term?.holder === node.id
    const drawn = dice.random()
    const layer = isHolder && drawn < 0.6 ? (drawn < 0.1 ? PRIVATE_LAYER : 'session') : 'semantic'
    const name: DocumentName = { agent, layer }
    this.writes += 1
    const value = JSON.stringify(`${CANARY} ${player.name} ${this.writes}`)
    const unique = dice.random() < 0.5
    const key = unique ? `u${this.writes}` : dice.one(SHARED_KEYS)
    checks.issued(value)
    const wanted = dice.one(LEVELS)
    node.documents.write(name, [{ type: 'set', key, value }]).then(
      ([written]: Written[]) => {
        if (written === undefined || player.node !== node) return
        const entry = checks.answered({ name, hash: written.block, by: player, key: unique ? key : null, value })
        if (entry === undefined || wanted === 'local') return
        this.#wait(player, node, entry, written, wanted)
      },
      () => (this.refused += 1),
    )
  }

  #wait(
    player: Player,
    node: SimulatedNode,
    entry: Acknowledged,
    { dot }: Written,
    wanted: (typeof LEVELS)[number],
  ): void {
    const { checks } = this.#deps
    void node.acknowledgements.wait(entry.name, [dot], wanted, WAITED_MS, NEVER).then(({ level }) => {
      if (player.node === node) checks.reached(entry, level)
    })
  }
}
