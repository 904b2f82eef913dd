import type { MeshAgent, MeshNode } from '@sealmesh/protocol/membership/mesh'
import type { Status } from '@sealmesh/protocol/ipc/methods'
import { formatId, type NodeId } from '@sealmesh/protocol/ids'
import type { Standing } from '@sealmesh/protocol/sync/peer-sync'
import type { Paths } from '../direct/paths.ts'
import type { Acknowledgements } from '../failover/acknowledgements.ts'
import { isHere } from '../status/standing.ts'
import type { LastHeard } from '../status/last-heard.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'
import type { PeerNow } from '../sync/peer-now.ts'
import type { Relays } from '../uplink/relays.ts'
import { agentName, iso, nodeName, type ServiceContext } from './context.ts'
import { type DurabilityContext, durabilityOf } from './durability.ts'
import { type Lag, lagOf } from './lag.ts'
import type { MergedLate } from './merged-late.ts'

export interface StatusSources {
  readonly home: string
  readonly version: string
  readonly startedAtMs: number
  /** Durably written and receipted state of each peer. */
  readonly peers: () => readonly PeerNow[]
  readonly standings: (node: NodeId) => readonly Standing[]
  readonly lastHeard: Pick<LastHeard, 'of'>
  readonly mergedLate: Pick<MergedLate, 'has'>
  readonly acknowledgements: Pick<Acknowledgements, 'look'>
  readonly relays: () => Status['relays']
  readonly direct: () => Status['direct']
  readonly findings: () => Promise<Status['findings']>
  readonly warnings: (findings: Status['findings']) => Status['warnings']
  readonly editing: () => Status['editing']
  readonly snapshots: () => Status['snapshots']
  readonly drills: () => Status['drills']
}

/** What is going on, in words that never claim more than is known. */
export async function statusOf(context: ServiceContext, sources: StatusSources): Promise<Status> {
  const mesh = context.log.mesh
  const relays = sources.relays()
  const live = relays.some((relay) => relay.state === 'live')
  const direct = sources.direct()
  const linked = new Set(direct.links.map(({ node }) => node))
  const known = new Map(sources.peers().map((peer) => [peer.node, peer]))
  const peers: Status['peers'] = []
  for (const node of mesh.nodes.values()) {
    if (node.id === context.node) continue
    const lag = await lagOf(context, sources.standings(node.id))
    const lastHeardMs = sources.lastHeard.of(node.id)
    const isReached = live || linked.has(formatId('node', node.id))
    peers.push(peerStatus(node, known.get(node.id), lag, { nowMs: context.now(), live: isReached, lastHeardMs }))
  }
  const findings = await sources.findings()
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
    direct,
    peers,
    agents: await Promise.all([...mesh.agents.values()].map((agent) => agentStatus({ ...context, ...sources }, agent))),
    summary:
      others.length === 0
        ? 'alone'
        : !live && linked.size === 0
          ? 'cut off'
          : others.every((peer) => peer.state === 'in sync')
            ? 'in sync'
            : 'syncing',
    warnings: sources.warnings(findings),
    findings,
    editing: sources.editing(),
    snapshots: sources.snapshots(),
    drills: sources.drills(),
  }
}

/** What no relay has answered waits for the first that is live: nearly all of it goes there. */
export function relaysOf({
  relays,
  direct,
  sync,
}: {
  readonly relays: Pick<Relays, 'status'>
  readonly direct: { readonly paths: Pick<Paths, 'unanswered'> }
  readonly sync: Pick<MeshSync, 'peers'>
}): Status['relays'] {
  const inFlight = sync.peers().reduce((sum, peer) => sum + peer.inFlight, 0)
  const unanswered = Math.max(0, inFlight - direct.paths.unanswered)
  const all = relays.status()
  const used = Math.max(
    0,
    all.findIndex(({ state }) => state === 'live'),
  )
  return all.map((relay, at) => ({ ...relay, unanswered: at === used ? unanswered : 0 }))
}

interface Around {
  readonly nowMs: number
  readonly live: boolean
  readonly lastHeardMs: number | null
}

function peerStatus(
  node: MeshNode,
  peer: PeerNow | undefined,
  lag: Lag,
  { nowMs, live, lastHeardMs }: Around,
): Status['peers'][number] {
  const view = peer?.view
  const heard = view?.lastHeardAtMs ?? null
  const everHeard = heard ?? lastHeardMs
  const base = {
    node: formatId('node', node.id),
    name: node.name,
    toSend: view?.toSend ?? 0,
    toReceive: view?.toReceive ?? null,
    lastHeardAt: everHeard === null ? null : iso(everHeard),
    documentsBehind: lag.documents,
    oldestUnsentAt: lag.oldestMs === null ? null : iso(lag.oldestMs),
    lagSeconds: lag.oldestMs === null ? null : Math.max(0, Math.round((nowMs - lag.oldestMs) / 1_000)),
    refused: peer?.refused ?? null,
  }
  if (node.revocations.length > 0) return { ...base, state: 'removed' }
  if (everHeard === null) return { ...base, state: 'never heard' }
  if (!live || !isHere(heard, nowMs)) return { ...base, state: 'unreachable' }
  if (base.toSend > 0) return { ...base, state: 'sending' }
  if (base.toReceive === null || base.toReceive > 0) return { ...base, state: 'receiving' }
  return { ...base, state: 'in sync' }
}

export async function agentStatus(
  context: DurabilityContext & { readonly mergedLate: Pick<MergedLate, 'has'> },
  agent: MeshAgent,
): Promise<Status['agents'][number]> {
  const mesh = context.log.mesh
  const layers: Status['agents'][number]['layers'] = []
  for (const name of context.documents.names()) {
    if (name.agent !== agent.id) continue
    const facts = await context.documents.facts(name)
    if (facts === undefined) {
      layers.push({ layer: name.layer, ...NOTHING_READ, damaged: true })
      continue
    }
    const { counts, aside } = facts
    const late = aside.filter(({ block, reason }) => reason === 'LATE' && !context.mergedLate.has(block)).length
    layers.push({
      layer: name.layer,
      registers: counts.registers,
      texts: counts.texts,
      conflicts: counts.conflicts,
      late,
      merged: counts.late - late,
      held: counts.held,
      setAside: counts.aside,
      blocks: counts.received,
      damaged: false,
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
    durability: await durabilityOf(context, agent),
    layers,
  }
}

const NOTHING_READ = { registers: 0, texts: 0, conflicts: 0, late: 0, merged: 0, held: 0, setAside: 0, blocks: 0 }
