import { countMissing } from '@sealmesh/protocol/crdt/vector'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { isIncarnationOf } from '@sealmesh/protocol/crdt/incarnation'
import { Failure } from '@sealmesh/protocol/errors'
import type { Counted } from '@sealmesh/protocol/failover/counted'
import { hasReceipted, reachOf } from '@sealmesh/protocol/failover/levels'
import { type NodeId, parseUmr } from '@sealmesh/protocol/ids'
import type { MethodParams, MethodResult } from '@sealmesh/protocol/ipc/methods'
import { readersOf } from '@sealmesh/protocol/membership/access'
import type { MeshNode } from '@sealmesh/protocol/membership/mesh'
import { keyOf } from '@sealmesh/protocol/sync/peer-sync'
import { setTimeout as pause } from 'node:timers/promises'
import type { Acknowledgements } from '../failover/acknowledgements.ts'
import type { DoorContext } from '../ipc/dispatch.ts'
import type { Handlers } from '../ipc/door.ts'
import { isHere } from '../status/standing.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'
import { agentName, agentNamed, nodeName, resolveUmr, type ServiceContext } from './context.ts'
import { machineNamed, PeerLook, type PeerSources } from './peers.ts'

type Behind = MethodResult<'wait'>['behind'][number]

/** Looked at again after this long; longer and longer, since every look compares vectors. */
const LOOK_FIRST_MS = 20
const LOOK_LAST_MS = 500
/** Progress is told at most this often. */
const TELL_APART_MS = 500
const BEHIND_MAX = 100

/** One document that has to be where it is wanted as it was here when the wait began. */
interface Goal {
  readonly name: DocumentName
  readonly vector: VersionVector
  /** What this machine wrote of it: what others wrote they give to the relay. */
  readonly own: VersionVector
  readonly only: NodeId | undefined
}

export interface WaitContext extends ServiceContext, Omit<PeerSources, 'sync'> {
  readonly sync: Pick<MeshSync, 'peers' | 'standings' | 'progress'>
  readonly acknowledgements: Pick<Acknowledgements, 'counted' | 'want'>
}

/**
 * `relayed`, `replicated`: the relay, or the disk, of every machine that counts has all that was here when the call
 * came. `synced`: every reader has it, and is there and has named nothing that is missing here.
 */
export function waitHandlers(context: WaitContext): Pick<Handlers, 'wait'> {
  return {
    wait: async (params, client) => {
      const { until, timeoutMs } = params
      const { goals, unshared } = await goalsOf(context, params)
      const readers = new Set<string>()
      const begunMs = performance.now()
      const waitedMs = (): number => Math.round(performance.now() - begunMs)
      let [left, lookMs, toldMs]: [Goal[], number, number] = [goals, LOOK_FIRST_MS, begunMs]
      const alone = new Map<Goal, MethodResult<'wait'>['alone'][number]>()
      for (;;) {
        const { open, behind } = lookAt(context, left, until, readers, alone)
        left = open
        const over = left.length === 0 || waitedMs() >= timeoutMs || client.signal.aborted
        if (over)
          return {
            done: left.length === 0,
            until,
            waitedMs: waitedMs(),
            documents: new Set(goals.map(({ name }) => keyOf(name))).size,
            readers: [...readers].toSorted(),
            behind: behind.slice(0, BEHIND_MAX),
            unshared,
            alone: [...alone.values()],
          }
        if (performance.now() - toldMs >= TELL_APART_MS) {
          toldMs = performance.now()
          tellProgress(client, behind, waitedMs())
        }
        await pause(Math.min(lookMs, Math.max(1, timeoutMs - waitedMs())))
        lookMs = Math.min(LOOK_LAST_MS, lookMs * 2)
      }
    },
  }
}

async function goalsOf(context: WaitContext, { target, peer, until }: MethodParams<'wait'>) {
  const { log, acknowledgements, documents, node: me } = context
  const mesh = log.mesh
  const only = peer === undefined ? undefined : machineNamed(mesh, peer)
  if (only?.id === me)
    throw new Failure('NODE_UNKNOWN', 'That is this machine: name another one.', { next: 'sealmesh status' })
  const goals: Goal[] = []
  const unshared: { agent: string; layer: string }[] = []
  for (const name of namesOf(context, target)) {
    const readers = readersOf(mesh, name.agent, name.layer).filter(
      (node) => node !== me && (only === undefined || node === only.id),
    )
    const isLevel = until !== 'synced' && only === undefined
    if (isLevel && readers.length > 0) acknowledgements.want(name.agent)
    if (readers.length === 0 || (isLevel && isOutOfReach(acknowledgements.counted(name)))) {
      unshared.push({ agent: agentName(mesh, name.agent), layer: name.layer })
      continue
    }
    const vector = await documents.vectorOf(name)
    const own = vector.filter(({ incarnation }) => isIncarnationOf(incarnation, me, context.sodium))
    goals.push({ name, vector, own, only: only?.id })
  }
  if (goals.length === 0)
    throw new Failure('NOT_SHARED', `${notSharedWith(target, only)}: there is nothing to wait for.`)
  return { goals, unshared }
}

const notSharedWith = (target: string | undefined, only: MeshNode | undefined): string =>
  `${target === undefined ? 'Nothing here' : `What "${target.slice(0, 80)}" names`} is ${target === undefined ? '' : 'not '}shared with ${only === undefined ? 'another machine' : only.name}`

function namesOf(context: ServiceContext, target: string | undefined): DocumentName[] {
  const all = context.documents.names()
  if (target === undefined) return all
  if (parseUmr(target) !== undefined) return [resolveUmr(context, target).document]
  const agent = agentNamed(context.log.mesh, target)
  return all.filter((name) => name.agent === agent.id)
}

/** A machine that has lost its grant or its place since is not waited for any longer. */
function lookAt(
  context: WaitContext,
  goals: readonly Goal[],
  until: MethodParams<'wait'>['until'],
  readers: Set<string>,
  alone: Map<Goal, MethodResult<'wait'>['alone'][number]>,
) {
  const { log, now } = context
  const look = new PeerLook(context, context)
  const members = new Map(look.others().map((node) => [node.id, node]))
  const isLive = context.relays.status().some(({ state }) => state === 'live')
  const open: Goal[] = []
  const behind: Behind[] = []
  for (const goal of goals) {
    const { agent, layer } = { agent: agentName(log.mesh, goal.name.agent), layer: goal.name.layer }
    const { nodes, isKnown, left } = waitedFor(context, goal, until)
    if (left.length > 0) alone.set(goal, { agent, layer, left: left.map((node) => nodeName(log.mesh, node)) })
    else alone.delete(goal)
    let isOpen = !isKnown
    for (const id of nodes) {
      const node = members.get(id)
      if (node === undefined) continue
      readers.add(node.name)
      const { standing, reads, toReceive, heardAtMs, reason } = look.between(node, goal.name)
      if (!reads) continue
      const lacks = countMissing(standing?.receipted ?? [], goal.vector)
      const isThere = isLive && isHere(heardAtMs, now())
      if (isKnown && hasCome(context, goal, id, until) && (until !== 'synced' || (isThere && toReceive === 0))) continue
      isOpen = true
      const { cause, text, next } = reason
      behind.push({ agent, layer, machine: node.name, lacks, more: toReceive, cause, text, next })
    }
    if (isOpen) open.push(goal)
  }
  return { open, behind }
}

/** Whose word it needs; whether that is known; and who is gone, where this disk alone is left. */
function waitedFor({ log, node, acknowledgements }: WaitContext, { name, only }: Goal, until: string) {
  if (only !== undefined) return { nodes: [only], isKnown: true, left: [] }
  const counted = acknowledgements.counted(name)
  if (until === 'synced') {
    const readers = readersOf(log.mesh, name.agent, name.layer)
    return { nodes: readers.filter((reader) => reader !== node), isKnown: true, left: [] }
  }
  switch (counted.type) {
    case 'nodes':
      return { nodes: counted.nodes, isKnown: true, left: [] }
    case 'waits':
      return { nodes: counted.nodes, isKnown: false, left: [] }
    case 'alone':
      return { nodes: [], isKnown: true, left: counted.left }
    case 'unreachable': {
      const readers = isOutOfReach(counted) ? [] : readersOf(log.mesh, name.agent, name.layer)
      return { nodes: readers.filter((reader) => reader !== node), isKnown: true, left: [] }
    }
  }
}

/** What another machine holds and writes, this one may wait for as well: for every reader. */
const isOutOfReach = (counted: Counted): boolean =>
  counted.type === 'unreachable' && counted.why !== 'not-the-holder' && counted.why !== 'fenced'

function hasCome({ sync }: WaitContext, { name, vector, own }: Goal, node: NodeId, until: string): boolean {
  const progress = sync.progress(node, name)
  return until === 'relayed' ? reachOf(own, [node], () => progress).level !== 'local' : hasReceipted(progress, vector)
}

function tellProgress(client: DoorContext, behind: readonly Behind[], waitedMs: number): void {
  client.stream?.tell('wait.progress', {
    waitedMs,
    documents: new Set(behind.map(({ agent, layer }) => `${agent}.${layer}`)).size,
    machines: [...new Set(behind.map(({ machine }) => machine))],
    blocks: behind.reduce((sum, { lacks, more }) => sum + lacks + (more ?? 0), 0),
  })
}
