import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { Failure } from '@sealmesh/protocol/errors'
import type { NodeId } from '@sealmesh/protocol/ids'
import { livePrekey, nodeByName, readersOf } from '@sealmesh/protocol/membership/access'
import type { Mesh, MeshNode } from '@sealmesh/protocol/membership/mesh'
import { keyOf, type Standing } from '@sealmesh/protocol/sync/peer-sync'
import type { Direct } from '../direct/open-direct.ts'
import type { LastHeard } from '../status/last-heard.ts'
import { type PeerFacts, type Reason, reasonFor } from '../status/standing.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'
import type { Relays } from '../uplink/relays.ts'
import { agentName, type ServiceContext } from './context.ts'

/** What is known of other machines: for whoever explains. */
export interface PeerSources {
  readonly sync: Pick<MeshSync, 'peers' | 'standings'>
  readonly relays: Pick<Relays, 'status'>
  readonly lastHeard: Pick<LastHeard, 'of'>
  readonly direct?: Pick<Direct, 'linkTo'>
}

/** One document between this machine and another, and why it stands as it does. */
export interface Between {
  readonly node: MeshNode
  readonly standing: Standing | undefined
  readonly reads: boolean
  readonly toSend: number
  /** Null: it has said nothing in this run. */
  readonly toReceive: number | null
  readonly heardAtMs: number | null
  readonly reason: Reason
}

/** A look at one moment: ask it about as many documents as you like. */
export class PeerLook {
  readonly #context: ServiceContext
  readonly #sources: PeerSources
  readonly #mesh: Mesh
  readonly #known: ReadonlyMap<NodeId, ReturnType<MeshSync['peers']>[number]>
  readonly #standings = new Map<NodeId, ReadonlyMap<string, Standing>>()

  constructor(context: ServiceContext, sources: PeerSources) {
    this.#context = context
    this.#sources = sources
    this.#mesh = context.log.mesh
    this.#known = new Map(sources.sync.peers().map((peer) => [peer.node, peer]))
  }

  /** Members other than this machine; removed ones are not among them. */
  others(): MeshNode[] {
    return [...this.#mesh.nodes.values()].filter(
      ({ id, revocations }) => id !== this.#context.node && revocations.length === 0,
    )
  }

  /** By key; of every document that this machine has in common with the peer. */
  standings(node: NodeId): ReadonlyMap<string, Standing> {
    let known = this.#standings.get(node)
    if (known === undefined) {
      known = new Map(this.#sources.sync.standings(node).map((each) => [keyOf(each.name), each]))
      this.#standings.set(node, known)
    }
    return known
  }

  between(node: MeshNode, name: DocumentName): Between {
    const mesh = this.#mesh
    const nowMs = this.#context.now()
    const peer = this.#known.get(node.id)
    const standing = this.standings(node.id).get(keyOf(name))
    const readers = readersOf(mesh, name.agent, name.layer)
    const reads = readers.includes(node.id)
    const toSend = standing?.toSend ?? 0
    const bothRead = reads && readers.includes(this.#context.node)
    const toReceive =
      standing === undefined
        ? bothRead && peer?.view.toReceive == null
          ? null
          : 0
        : bothRead && standing.named === undefined
          ? null
          : standing.toReceive
    const heardAtMs = peer?.view.lastHeardAtMs ?? this.#sources.lastHeard.of(node.id)
    const relays = this.#sources.relays.status()
    const isLinked = this.#sources.direct?.linkTo(node.id) !== undefined
    const relay = relays.find(({ state }) => state === 'live') ?? relays[0]
    const facts: PeerFacts = {
      peer: node.name,
      agent: agentName(mesh, name.agent),
      layer: name.layer,
      removed: node.revocations.length > 0,
      reads,
      // Whoever has a link of its own is kept from nothing by a relay.
      relay: isLinked ? LINKED : relay === undefined ? null : { state: relay.state, reason: relay.reason },
      heardAtMs,
      hasKey: livePrekey(node, nowMs) !== undefined,
      refused: peer?.refused ?? null,
      toSend,
      toReceive,
      nowMs,
    }
    return { node, standing, reads, toSend, toReceive, heardAtMs, reason: reasonFor(facts) }
  }
}

const LINKED = { state: 'live', reason: null } as const

/** A machine by its name, this one and removed ones included. */
export function machineNamed(mesh: Mesh, name: string): MeshNode {
  const node = nodeByName(mesh, name)
  if (node === undefined) throw new Failure('NODE_UNKNOWN', `No machine of this mesh is called "${name.slice(0, 64)}".`)
  return node
}
