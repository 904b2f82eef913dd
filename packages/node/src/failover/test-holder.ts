import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { LeaseListing } from '@sealmesh/protocol/failover/lease-listing'
import type { AgentId, BlockHash, IncarnationId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Progress } from '@sealmesh/protocol/sync/stored'
import { Acknowledgements } from './acknowledgements.ts'

export const HOME = 'home' as NodeId
export const OFFICE = 'office' as NodeId
export const LAPTOP = 'laptop' as NodeId
const AGENT = 'agent' as AgentId
const RUN = 'run' as IncarnationId

export const upTo = (sequence: number): VersionVector =>
  sequence === 0 ? [] : [{ incarnation: RUN, sequence, hash: `block ${sequence}` as BlockHash }]

/** For tests: an agent that home holds, with standbys of which a test says what they and the relay have. */
export class TestHolder {
  readonly documents = { agent: AGENT, layer: 'semantic' }
  readonly session = { agent: AGENT, layer: 'session' }
  /** A layer that no standby may read. */
  readonly own = { agent: AGENT, layer: 'notes' }
  holder = HOME
  strict = false
  mode: 'manual' | 'auto' = 'manual'
  members: readonly NodeId[] | null = [HOME, OFFICE, LAPTOP]
  hosts: readonly NodeId[] = [HOME, OFFICE, LAPTOP]
  relays = 1
  fenced = false
  term = 'term 1' as RecordHash
  listed: RecordHash | null = null
  joining: readonly NodeId[] = []
  readonly wanted = new Set<AgentId>()
  readonly pushed: NodeId[] = []
  readonly #at = new Map<NodeId, { has: number; confirmed: number | null; stored: number }>()
  readonly #lease: LeaseListing = {
    listedSync: () => this.listed,
    relistSoon: () => undefined,
    mayAcknowledge: () => !this.fenced,
  }
  readonly acknowledgements: Acknowledgements

  constructor(monotonicMs = (): number => performance.now()) {
    this.acknowledgements = new Acknowledgements({
      node: HOME,
      mesh: () => this.#mesh(),
      lease: this.#lease,
      monotonicMs,
      sync: {
        progress: (node) => this.#progress(node),
        pushAgain: (node) => void this.pushed.push(node),
      },
      sets: {
        want: (agent) => void this.wanted.add(agent),
        wants: (agent) => this.wanted.has(agent),
        joining: () => this.joining,
      },
    })
  }

  /** What a standby has receipted, all of it or only so much under a known log, and what the relay has stored for it. */
  says(
    node: NodeId,
    has: number,
    { confirmed = null, stored = 0 }: { confirmed?: number | null; stored?: number } = {},
  ) {
    this.#at.set(node, { has, confirmed, stored })
    this.acknowledgements.progressed([this.documents, this.session])
  }

  #progress(node: NodeId): Progress | undefined {
    const { has = 0, confirmed = null, stored = 0 } = this.#at.get(node) ?? {}
    const words = { receipted: upTo(has), confirmed: confirmed === null ? undefined : upTo(confirmed) }
    return { mine: upTo(9_999), ...words, stored: upTo(stored) }
  }

  #mesh(): Mesh {
    const grantOf = (layer: string) => ({ layer, ended: null, access: 'read', to: { type: 'standby' } })
    const syncSet = this.members === null ? null : { record: 'newest' as RecordHash, members: this.members }
    const agent = {
      id: AGENT,
      hosts: this.hosts,
      grants: ['semantic', 'session'].map(grantOf),
      term: { number: 1, holder: this.holder, record: this.term },
      failover: {
        record: this.strict || this.mode === 'auto' ? 'failover' : null,
        mode: this.mode,
        durability: this.strict ? 'strict' : 'available',
      },
      syncSet,
    }
    const older = { body: { type: 'sync', agent: AGENT, members: [HOME, OFFICE, LAPTOP] } }
    return {
      relays: Array.from({ length: this.relays }, () => ({})),
      agents: new Map([[AGENT, agent]]),
      nodes: new Map([HOME, OFFICE, LAPTOP].map((id) => [id, { revocations: [], lapsed: false }])),
      records: new Map([['older', older]]),
    } as unknown as Mesh
  }
}
