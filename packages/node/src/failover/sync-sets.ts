import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { Failure } from '@sealmesh/protocol/errors'
import { keepsSet, standbysOf } from '@sealmesh/protocol/failover/counted'
import type { LeaseListing } from '@sealmesh/protocol/failover/lease-listing'
import { setBefore } from '@sealmesh/protocol/failover/set-history'
import { firstSet, type Look, SyncSetWatch } from '@sealmesh/protocol/failover/sync-set'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { Secret } from '@sealmesh/protocol/keys'
import type { Mesh, MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { LeaseProfile } from '@sealmesh/protocol/membership/record'
import { keyOf } from '@sealmesh/protocol/sync/peer-sync'
import { mayRead } from '@sealmesh/protocol/sync/recipients'
import type { Logger } from 'pino'
import type { Documents } from '../documents/documents.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'

const LOOK_MS = 500
/** How long a member may leave something unreceipted: a lost packet, a garbage collection, a slow disk are no leave. */
const LEAVE_MS: Readonly<Record<LeaseProfile, number>> = { default: 4_000, fast: 2_000, calm: 8_000 }
/** A refused record is not signed again at once. */
const REFUSED_PAUSE_MS = 5_000

export interface SyncSetsDeps {
  readonly node: NodeId
  readonly signKey: Secret<'sign'>
  readonly log: Pick<LogKeeper, 'mesh' | 'append'>
  readonly documents: Pick<Documents, 'names'>
  readonly sync: Pick<MeshSync, 'progress' | 'isThere'>
  readonly lease: LeaseListing
  readonly monotonicMs: () => number
  readonly logger: Pick<Logger, 'warn' | 'error'>
}

/** One agent that this node holds and names sync sets for. */
interface Kept {
  readonly watch: SyncSetWatch
  readonly sinceMs: number
  busy: boolean
  pausedUntilMs: number
}

/** Names the sync sets of the agents that this node holds (docs/spec/13-acknowledgements.md §3). */
export class SyncSets {
  readonly #deps: SyncSetsDeps
  readonly #kept = new Map<AgentId, Kept>()
  /** Agents of which somebody here has asked for a level. */
  readonly #wanted = new Set<AgentId>()
  readonly #timer: NodeJS.Timeout
  #lookedAt: Mesh | undefined
  #closed = false

  constructor(deps: SyncSetsDeps) {
    this.#deps = deps
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
    this.#timer.unref()
  }

  /** Somebody relies on what this agent's standbys have: from now on its holder says who they are. */
  want(agent: AgentId): void {
    if (this.#wanted.has(agent)) return
    this.#wanted.add(agent)
    this.#lookedAt = undefined
    this.#look()
  }

  wants(agent: AgentId): boolean {
    return this.#wanted.has(agent)
  }

  /** Not named yet and counted already. */
  joining(agent: AgentId): readonly NodeId[] {
    return this.#kept.get(agent)?.watch.joining ?? []
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#timer)
  }

  #look(): void {
    const { mesh } = this.#deps.log
    if (this.#lookedAt !== mesh) this.#choose(mesh)
    if (this.#kept.size === 0 || this.#closed) return
    const names = new Map<AgentId, DocumentName[]>([...this.#kept.keys()].map((agent) => [agent, []]))
    for (const name of this.#deps.documents.names()) names.get(name.agent)?.push(name)
    for (const [id, kept] of this.#kept) {
      const agent = mesh.agents.get(id)
      if (agent !== undefined) this.#change(mesh, agent, kept, names.get(id) ?? [])
    }
  }

  /** Which agents are ours to say that of; of thousands only when the log is another one. */
  #choose(mesh: Mesh): void {
    this.#lookedAt = mesh
    for (const agent of mesh.agents.values()) {
      const isOurs =
        agent.term?.holder === this.#deps.node &&
        (agent.syncSet !== null || this.#wanted.has(agent.id) || agent.failover.record !== null) &&
        keepsSet(agent, standbysOf(mesh, agent), this.#wanted.has(agent.id))
      if (!isOurs) this.#kept.delete(agent.id)
      else if (!this.#kept.has(agent.id))
        this.#kept.set(agent.id, {
          watch: new SyncSetWatch(),
          sinceMs: this.#deps.monotonicMs(),
          busy: false,
          pausedUntilMs: 0,
        })
    }
  }

  #change(mesh: Mesh, agent: MeshAgent, kept: Kept, names: readonly DocumentName[]): void {
    const { node: me, lease } = this.#deps
    const nowMs = this.#deps.monotonicMs()
    if (kept.busy || nowMs < kept.pausedUntilMs || !lease.mayAcknowledge(agent.id)) return
    const leaveMs = LEAVE_MS[mesh.witness?.profile ?? 'default']
    const looks = this.#looksAt(mesh, agent, names)
    if (agent.syncSet === null) {
      const before = setBefore(mesh, agent)
      // Nobody is left out before it has had the time after which a member leaves.
      const isTime = nowMs - kept.sinceMs >= leaveMs || looks.every(({ isHere }) => isHere)
      if (before !== null || isTime) this.#sign(agent, kept, firstSet(me, before, looks))
      return
    }
    // The last change has to be seen by all before the next: standbys rely on what the register lists.
    if (agent.failover.mode !== 'manual' && lease.listedSync(agent.id) !== agent.syncSet.record) return
    const { durability } = agent.failover
    const members = kept.watch.next({ me, members: agent.syncSet.members, durability, looks, leaveMs, nowMs })
    if (members !== null) this.#sign(agent, kept, members)
  }

  /** Of every standby, and of members that are none any more. */
  #looksAt(mesh: Mesh, agent: MeshAgent, names: readonly DocumentName[]): Look[] {
    const { node: me, sync } = this.#deps
    const standbys = new Map(standbysOf(mesh, agent).map((standby) => [standby.node, standby]))
    const nodes = new Set([...standbys.keys(), ...(agent.syncSet?.members ?? [])])
    nodes.delete(me)
    return [...nodes].map((node) => ({
      node,
      standsBy: standbys.has(node),
      layers: standbys.get(node)?.layers ?? [],
      isHere: sync.isThere(node),
      documents: names
        .filter((name) => mayRead(mesh, name, node))
        .map((name) => ({ key: keyOf(name), progress: sync.progress(node, name) })),
    }))
  }

  #sign({ id, term }: MeshAgent, kept: Kept, members: readonly NodeId[]): void {
    const { log, node, signKey, lease, logger } = this.#deps
    if (term === null) return
    kept.busy = true
    const isStill = (mesh: Mesh): boolean => mesh.agents.get(id)?.term?.record === term.record
    log
      .append(
        (mesh) => {
          if (!isStill(mesh)) throw new Failure('NOT_THE_HOLDER', 'The term has passed on.')
          return { type: 'sync', agent: id, term: term.record, members: [...members] }
        },
        { type: 'node', node },
        signKey,
      )
      .then(() => lease.relistSoon(id))
      .catch((error: unknown) => {
        kept.pausedUntilMs = this.#deps.monotonicMs() + REFUSED_PAUSE_MS
        if (!this.#closed) logger.warn({ err: error }, 'who stands by could not be written down')
      })
      .finally(() => {
        kept.busy = false
      })
  }
}
