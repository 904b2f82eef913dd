import type { AgentId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { Mesh, MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { LeaseStore } from './lease-store.ts'

/** A host that is away is asked so often, and then seldom: what it is asked lies in its mailbox. */
const OFTEN = 5
const OFTEN_MS = 1_000
const SELDOM_MS = 15_000

export interface ProofDeps {
  readonly node: NodeId
  readonly mesh: () => Mesh
  readonly store: LeaseStore
  readonly monotonicMs: () => number
}

/** A term of ours, and the record that says it has leases: whoever knows both acts under no other. */
interface Key {
  readonly agent: AgentId
  readonly record: RecordHash
  readonly policy: RecordHash | null
}

/**
 * Of which terms of this node the witness excludes that another node acts (docs/spec/12-failover.md §7): those that a
 * register gave it, and those that came by the log alone as soon as every other host knows of them and of the leases.
 */
export class Proof {
  readonly #deps: ProofDeps
  /** In memory only: a restart asks again. */
  readonly #heard = new Map<string, Set<NodeId>>()
  readonly #asked = new Map<NodeId, { readonly times: number; readonly atMs: number }>()

  constructor(deps: ProofDeps) {
    this.#deps = deps
  }

  isProven({ term, failover }: MeshAgent): boolean {
    return term !== null && this.#deps.store.isProven(term.record, failover.record)
  }

  /** Whom to ask now, about what. */
  due(): { readonly host: NodeId; readonly agent: AgentId; readonly keys: readonly Key[] }[] {
    const { mesh, monotonicMs } = this.#deps
    const byHost = new Map<NodeId, Key[]>()
    for (const agent of mesh().agents.values())
      for (const host of this.#lacking(agent)) byHost.set(host, [...(byHost.get(host) ?? []), keyOf(agent)])
    return [...byHost].flatMap(([host, keys]) => {
      const { times, atMs } = this.#asked.get(host) ?? { times: 0, atMs: Number.NEGATIVE_INFINITY }
      if (monotonicMs() - atMs < (times < OFTEN ? OFTEN_MS : SELDOM_MS)) return []
      this.#asked.set(host, { times: times + 1, atMs: monotonicMs() })
      return [{ host, agent: keys[0]!.agent, keys }]
    })
  }

  /** It knew all that this node knew when it was asked about these. */
  async heard(host: NodeId, keys: readonly Key[]): Promise<void> {
    this.#asked.delete(host)
    for (const key of keys) {
      const name = nameOf(key)
      this.#heard.set(name, (this.#heard.get(name) ?? new Set()).add(host))
      const agent = this.#deps.mesh().agents.get(key.agent)
      if (agent === undefined || nameOf(keyOf(agent)) !== name || this.#lacking(agent).length > 0) continue
      this.#heard.delete(name)
      await this.#deps.store.noteProven(key.record, key.policy)
    }
  }

  #lacking(agent: MeshAgent): NodeId[] {
    const { node } = this.#deps
    if (agent.failover.mode === 'manual' || agent.term?.holder !== node || this.isProven(agent)) return []
    const heard = this.#heard.get(nameOf(keyOf(agent)))
    return agent.hosts.filter((host) => host !== node && heard?.has(host) !== true)
  }
}

const keyOf = ({ id, term, failover }: MeshAgent): Key => ({ agent: id, record: term!.record, policy: failover.record })

const nameOf = ({ record, policy }: Key): string => `${record} ${policy}`
