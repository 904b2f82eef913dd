import type { MeshAgent, MeshNode } from '@sealmesh/protocol/membership/mesh'
import type { Status } from '@sealmesh/protocol/ipc/methods'
import { formatId } from '@sealmesh/protocol/ids'
import type { PeerView } from '@sealmesh/protocol/sync/peer-sync'
import { agentName, iso, nodeName, type ServiceContext } from './context.ts'

export interface StatusSources {
  readonly home: string
  readonly version: string
  readonly startedAtMs: number
  /** Durably written and receipted state of each peer. */
  readonly peers: () => readonly { node: string; view: PeerView }[]
  readonly relays: () => Status['relays']
  readonly warnings: () => Status['warnings']
  readonly editing: () => Status['editing']
}

/** What is going on, in words that never claim more than is known. */
export async function statusOf(context: ServiceContext, sources: StatusSources): Promise<Status> {
  const mesh = context.log.mesh
  const relays = sources.relays()
  const live = relays.some((relay) => relay.state === 'live')
  const views = new Map(sources.peers().map((peer) => [peer.node, peer.view]))
  const peers = [...mesh.nodes.values()]
    .filter((node) => node.id !== context.node)
    .map((node) => peerStatus(node, views.get(node.id), context.now(), live))
  const others = peers.filter((peer) => peer.state !== 'removed')
  return {
    version: sources.version,
    home: sources.home,
    pid: process.pid,
    startedAt: iso(sources.startedAtMs),
    node: {
      id: formatId('node', context.node),
      name: nodeName(mesh, context.node),
      incarnation: context.incarnation,
    },
    mesh: { id: formatId('mesh', mesh.id), name: mesh.name, nodes: others.length + 1, records: mesh.records.size },
    relays,
    peers,
    agents: await Promise.all([...mesh.agents.values()].map((agent) => agentStatus(context, agent))),
    summary:
      others.length === 0
        ? 'alone'
        : !live
          ? 'cut off'
          : others.every((peer) => peer.state === 'in sync')
            ? 'in sync'
            : 'syncing',
    warnings: sources.warnings(),
    editing: sources.editing(),
  }
}

/** A peer that has named its heads within this long is taken to be there. */
const REACHABLE_MS = 35_000

function peerStatus(node: MeshNode, view: PeerView | undefined, nowMs: number, live: boolean): Status['peers'][number] {
  const heard = view?.lastHeardAtMs ?? null
  const base = {
    node: formatId('node', node.id),
    name: node.name,
    toSend: view?.toSend ?? 0,
    toReceive: view?.toReceive ?? null,
    lastHeardAt: heard === null ? null : iso(heard),
  }
  if (node.revocations.length > 0) return { ...base, state: 'removed' }
  if (heard === null) return { ...base, state: 'never heard' }
  if (!live || nowMs - heard > REACHABLE_MS) return { ...base, state: 'unreachable' }
  if (base.toSend > 0) return { ...base, state: 'sending' }
  if (base.toReceive === null || base.toReceive > 0) return { ...base, state: 'receiving' }
  return { ...base, state: 'in sync' }
}

export async function agentStatus(
  context: Pick<ServiceContext, 'documents' | 'log' | 'node'>,
  agent: MeshAgent,
): Promise<Status['agents'][number]> {
  const mesh = context.log.mesh
  const layers: Status['agents'][number]['layers'] = []
  for (const name of context.documents.names()) {
    if (name.agent !== agent.id) continue
    const document = await context.documents.open(name)
    const counts = document.counts()
    layers.push({
      layer: name.layer,
      registers: counts.registers,
      texts: counts.texts,
      conflicts: counts.conflicts,
      late: counts.late,
      setAside: counts.aside,
      blocks: counts.received,
    })
  }
  layers.sort((a, b) => (a.layer < b.layer ? -1 : 1))
  return {
    agent: formatId('agent', agent.id),
    name: agentName(mesh, agent.id),
    hosts: agent.hosts.map((host) => nodeName(mesh, host)),
    holder: agent.term === null ? null : nodeName(mesh, agent.term.holder),
    term: agent.term?.number ?? 0,
    holdsHere: agent.term?.holder === context.node,
    layers,
  }
}
