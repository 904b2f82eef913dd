import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { type Counted, countedFor } from '@sealmesh/protocol/failover/counted'
import { reachOf } from '@sealmesh/protocol/failover/levels'
import { firstSet, type Look, SyncSetWatch } from '@sealmesh/protocol/failover/sync-set'
import type { AgentId, BlockHash, IncarnationId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Durability } from '@sealmesh/protocol/membership/record'

/**
 * One holder, three standbys and a register, with the cores' own decisions: which writes are acknowledged, and who could
 * take over at this moment. Writes are numbers; a standby has all up to its own.
 */

export const NODES = ['home', 'a', 'b', 'c'].map((name) => name as NodeId)
const [HOME] = NODES as [NodeId]
const AGENT = 'agent' as AgentId
export const NAME = { agent: AGENT, layer: 'semantic' }
const LEAVE_MS = 4_000

/** One rule less each. */
export interface Mutant {
  /** What the register lists is not waited for. */
  readonly swapsAtOnce?: boolean
  /** Who joins counts with the record alone. */
  readonly joinsUncounted?: boolean
}

export type Step =
  | { readonly type: 'write' }
  | { readonly type: 'receipt'; readonly node: number; readonly lag: number }
  | { readonly type: 'look'; readonly afterMs: number }
  /** The relay sets the register to the newest record; the holder hears of it with `listed`. */
  | { readonly type: 'set' }
  | { readonly type: 'listed' }
  /** The record that was decided on is signed and in the log. */
  | { readonly type: 'signed' }

export class SetModel {
  readonly #mutant: Mutant
  readonly #durability: Durability
  readonly #watch = new SyncSetWatch()
  readonly #has = new Map<NodeId, number>(NODES.map((node) => [node, 0]))
  readonly #records = new Map<RecordHash, readonly NodeId[]>()
  #signing: readonly NodeId[] | null = null
  #newest: RecordHash | null = null
  #register: RecordHash | null = null
  #listed: RecordHash | null = null
  #written = 0
  #nowMs = 0
  /** All writes up to here were acknowledged as replicated. */
  acknowledged = 0

  /** `first`: how many standbys the set has at the beginning. */
  constructor(durability: Durability, first: number, mutant: Mutant = {}) {
    this.#durability = durability
    this.#mutant = mutant
    this.#sign(firstSet(HOME, NODES.slice(0, 1 + first), this.#looks()))
    this.#register = this.#listed = this.#newest
  }

  get members(): readonly NodeId[] {
    return this.#newest === null ? [] : (this.#records.get(this.#newest) ?? [])
  }

  take(step: Step): void {
    switch (step.type) {
      case 'write':
        this.#written += 1
        this.#has.set(HOME, this.#written)
        break
      case 'receipt': {
        const node = NODES[1 + (step.node % 3)]!
        this.#has.set(node, Math.max(this.#has.get(node)!, this.#written - step.lag))
        break
      }
      case 'look': {
        this.#nowMs += step.afterMs
        const isListed = this.#mutant.swapsAtOnce === true || this.#listed === this.#newest
        if (this.#signing !== null || !isListed) break
        this.#signing = this.#watch.next({
          me: HOME,
          members: this.members,
          durability: this.#durability,
          looks: this.#looks(),
          leaveMs: LEAVE_MS,
          nowMs: this.#nowMs,
        })
        break
      }
      case 'signed':
        if (this.#signing !== null) this.#sign(this.#signing)
        this.#signing = null
        break
      case 'set':
        this.#register = this.#newest
        break
      case 'listed':
        this.#listed = this.#register
        break
    }
    const counted = this.counted()
    if (counted.type !== 'nodes') return
    for (let write = this.acknowledged + 1; write <= this.#written; write++) {
      const { level } = reachOf(vector(write), counted.nodes, (node) => this.#progress(node))
      if (level !== 'replicated') break
      this.acknowledged = write
    }
  }

  /** Who could take over by what the register says, and lacks something that was acknowledged. */
  losers(): NodeId[] {
    const electable = this.#register === null ? [] : (this.#records.get(this.#register) ?? [])
    return electable.filter((node) => this.#has.get(node)! < this.acknowledged)
  }

  counted(): Counted {
    return countedFor(NAME, {
      mesh: this.#mesh(),
      me: HOME,
      listed: this.#mutant.swapsAtOnce === true ? this.#newest : this.#listed,
      joining: this.#mutant.joinsUncounted === true ? [] : this.#watch.joining,
      wanted: true,
    })
  }

  #sign(members: readonly NodeId[]): void {
    this.#newest = `record ${this.#records.size}` as RecordHash
    this.#records.set(this.#newest, members)
  }

  #progress(node: NodeId) {
    return {
      mine: vector(this.#written),
      receipted: vector(this.#has.get(node)!),
      confirmed: undefined,
      stored: [],
    }
  }

  #looks(): Look[] {
    return NODES.slice(1).map((node) => ({
      node,
      standsBy: true,
      layers: [NAME.layer],
      isHere: true,
      documents: [{ key: 'document', progress: this.#progress(node) }],
    }))
  }

  #mesh(): Mesh {
    const newest = this.#newest
    const grant = { layer: NAME.layer, ended: null, access: 'read', to: { type: 'standby' } }
    const agent = {
      id: AGENT,
      hosts: NODES,
      grants: [grant],
      term: { number: 1, holder: HOME, record: 'term' },
      failover: { record: 'failover', mode: 'auto', durability: this.#durability },
      syncSet: newest === null ? null : { record: newest, members: this.#records.get(newest) },
    }
    const node = { revocations: [], lapsed: false }
    const bodyOf = ([hash, members]: [RecordHash, readonly NodeId[]]) =>
      [hash, { body: { type: 'sync', agent: AGENT, members } }] as const
    return {
      agents: new Map([[AGENT, agent]]),
      nodes: new Map(NODES.map((id) => [id, node])),
      records: new Map([...this.#records].map(bodyOf)),
    } as unknown as Mesh
  }
}

const INCARNATION = 'run' as IncarnationId
const vector = (sequence: number): VersionVector =>
  sequence === 0 ? [] : [{ incarnation: INCARNATION, sequence, hash: `block ${sequence}` as BlockHash }]
