import { countMissing } from '@sealmesh/protocol/crdt/vector'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { Failure } from '@sealmesh/protocol/errors'
import { parseUmr } from '@sealmesh/protocol/ids'
import type { MethodParams, MethodResult } from '@sealmesh/protocol/ipc/methods'
import { readersOf } from '@sealmesh/protocol/membership/access'
import type { MeshNode } from '@sealmesh/protocol/membership/mesh'
import { keyOf } from '@sealmesh/protocol/sync/peer-sync'
import { setTimeout as pause } from 'node:timers/promises'
import type { DoorContext } from '../ipc/dispatch.ts'
import type { Handlers } from '../ipc/door.ts'
import { isHere } from '../status/standing.ts'
import { agentName, agentNamed, resolveUmr, type ServiceContext } from './context.ts'
import { machineNamed, PeerLook, type PeerSources } from './peers.ts'

type Behind = MethodResult<'wait'>['behind'][number]

/** Looked at again after this long; longer and longer, since every look compares vectors. */
const LOOK_FIRST_MS = 20
const LOOK_LAST_MS = 500
/** Progress is told at most this often. */
const TELL_APART_MS = 500
const BEHIND_MAX = 100

/** One document and one machine that has to have what was here when the wait began. */
interface Goal {
  readonly name: DocumentName
  readonly node: MeshNode
  readonly vector: VersionVector
}

/**
 * `replicated`: every other machine that may read has said, in its receipt, that it has durably all that was here when
 * the call came. `synced`: the same, and those machines are there and have named nothing that is missing here.
 */
export function waitHandlers(context: ServiceContext & PeerSources): Pick<Handlers, 'wait'> {
  return {
    wait: async (params, client) => {
      const { goals, unshared, readers } = await goalsOf(context, params)
      const begunMs = performance.now()
      const waitedMs = (): number => Math.round(performance.now() - begunMs)
      let [left, lookMs, toldMs]: [Goal[], number, number] = [goals, LOOK_FIRST_MS, begunMs]
      for (;;) {
        const { open, behind } = lookAt(context, left, params.until)
        left = open
        const over = left.length === 0 || waitedMs() >= params.timeoutMs || client.signal.aborted
        if (over)
          return {
            done: left.length === 0,
            until: params.until,
            waitedMs: waitedMs(),
            documents: new Set(goals.map(({ name }) => keyOf(name))).size,
            readers,
            behind: behind.slice(0, BEHIND_MAX),
            unshared,
          }
        if (performance.now() - toldMs >= TELL_APART_MS) {
          toldMs = performance.now()
          tellProgress(client, behind, waitedMs())
        }
        await pause(Math.min(lookMs, Math.max(1, params.timeoutMs - waitedMs())))
        lookMs = Math.min(LOOK_LAST_MS, lookMs * 2)
      }
    },
  }
}

async function goalsOf(context: ServiceContext, { target, peer }: MethodParams<'wait'>) {
  const mesh = context.log.mesh
  const only = peer === undefined ? undefined : machineNamed(mesh, peer)
  if (only?.id === context.node)
    throw new Failure('NODE_UNKNOWN', 'That is this machine: name another one.', { next: 'sealmesh status' })
  const goals: Goal[] = []
  const unshared: { agent: string; layer: string }[] = []
  const readers = new Set<string>()
  for (const name of namesOf(context, target)) {
    const others = readersOf(mesh, name.agent, name.layer).filter(
      (node) => node !== context.node && (only === undefined || node === only.id),
    )
    if (others.length === 0) unshared.push({ agent: agentName(mesh, name.agent), layer: name.layer })
    const vector = await context.documents.vectorOf(name)
    for (const id of others) {
      const node = mesh.nodes.get(id)
      if (node === undefined) continue
      readers.add(node.name)
      goals.push({ name, node, vector })
    }
  }
  if (goals.length === 0)
    throw new Failure('NOT_SHARED', `${notSharedWith(target, only)}: there is nothing to wait for.`)
  return { goals, unshared, readers: [...readers].toSorted() }
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
function lookAt(context: ServiceContext & PeerSources, goals: readonly Goal[], until: 'synced' | 'replicated') {
  const look = new PeerLook(context, context)
  const members = new Map(look.others().map((node) => [node.id, node]))
  const open: Goal[] = []
  const behind: Behind[] = []
  for (const goal of goals) {
    const node = members.get(goal.node.id)
    if (node === undefined) continue
    const { standing, reads, toReceive, heardAtMs, reason } = look.between(node, goal.name)
    if (!reads) continue
    const lacks = countMissing(standing?.receipted ?? [], goal.vector)
    const live = context.relays.status()[0]?.state === 'live' && isHere(heardAtMs, context.now())
    if (lacks === 0 && (until === 'replicated' || (live && toReceive === 0))) continue
    open.push(goal)
    behind.push({
      agent: agentName(context.log.mesh, goal.name.agent),
      layer: goal.name.layer,
      machine: node.name,
      lacks,
      more: toReceive,
      cause: reason.cause,
      text: reason.text,
      next: reason.next,
    })
  }
  return { open, behind }
}

function tellProgress(client: DoorContext, behind: readonly Behind[], waitedMs: number): void {
  client.stream?.tell('wait.progress', {
    waitedMs,
    documents: new Set(behind.map(({ agent, layer }) => `${agent}.${layer}`)).size,
    machines: [...new Set(behind.map(({ machine }) => machine))],
    blocks: behind.reduce((sum, { lacks, more }) => sum + lacks + (more ?? 0), 0),
  })
}
