import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { compareDots, type Dot, type VersionVector } from '@sealmesh/protocol/crdt/clock'
import { LEVELS } from '@sealmesh/protocol/failover/levels'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { Acknowledgement, Waiting } from '@sealmesh/protocol/ipc/acknowledging'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Written } from '../documents/documents.ts'
import { type Acknowledged, type Acknowledgements, unreachableFailure } from '../failover/acknowledgements.ts'
import type { DoorContext } from '../ipc/dispatch.ts'
import { agentName, nodeName, type ServiceContext } from './context.ts'

const TIMEOUT_MS = 60_000

export interface AcknowledgingContext extends ServiceContext {
  readonly acknowledgements: Pick<Acknowledgements, 'check' | 'wait' | 'look' | 'counted' | 'want'>
}

/** Before anything is written: refuses what will never be as durable as the caller wants it. */
export function checkLevel(context: AcknowledgingContext, name: DocumentName, { wait }: Waiting): void {
  if (wait !== undefined) context.acknowledgements.check(name, wait)
}

/** Waits, if the caller asked for that, until what was written is as durable as it wants; else gives nothing. */
export async function acknowledged(
  context: AcknowledgingContext,
  written: readonly { readonly document: DocumentName; readonly writes: readonly (Written | undefined)[] }[],
  { wait, timeoutMs = TIMEOUT_MS }: Waiting,
  client: Pick<DoorContext, 'signal'>,
): Promise<{ acknowledged?: Acknowledgement }> {
  if (wait === undefined) return {}
  const outcomes = await Promise.all(
    written.map(async ({ document, writes }) => {
      const target = await targetOf(context, document, writes)
      const outcome = await context.acknowledgements.wait(document, target, wait, timeoutMs, client.signal)
      return viewOf(context.log.mesh, document, outcome, wait)
    }),
  )
  return { acknowledged: outcomes.reduce(least) }
}

/** The last block of each run: receipts cover all that is before it. Nothing was to be changed: all that is here. */
async function targetOf(
  { documents }: AcknowledgingContext,
  name: DocumentName,
  writes: readonly (Written | undefined)[],
): Promise<VersionVector> {
  const last = new Map<string, Dot>()
  for (const write of writes) if (write !== undefined) last.set(write.dot.incarnation, write.dot)
  if (last.size === 0) return documents.vectorOf(name)
  return [...last.values()].toSorted(compareDots)
}

function viewOf(
  mesh: Mesh,
  name: DocumentName,
  outcome: Acknowledged,
  wanted: NonNullable<Waiting['wait']>,
): Acknowledgement {
  const names = (nodes: readonly NodeId[]): string[] => nodes.map((node) => nodeName(mesh, node))
  const agent = agentName(mesh, name.agent)
  const { done, level, copies, unreachable, waitedMs } = outcome
  const failure = unreachable === null ? undefined : unreachableFailure(unreachable, wanted, true)
  return {
    done,
    level,
    copies,
    members: names(outcome.members),
    missing: outcome.missing.map(({ node, stored }) => ({ machine: nodeName(mesh, node), relay: stored })),
    left: names(outcome.left),
    reason: done ? null : (failure?.message ?? reasonOf(outcome, names)),
    next: done ? null : (failure?.next.replace('AGENT', agent) ?? `sealmesh why ${agent}.${name.layer}`),
    unreachable: unreachable !== null,
    waitedMs,
  }
}

function reasonOf({ waits, missing }: Acknowledged, names: (nodes: readonly NodeId[]) => string[]): string {
  const [without] = [names(missing.map(({ node }) => node)).join(', ')]
  switch (waits) {
    case 'unnamed':
      return `the holder of the agent has not yet said which machines are in step (${without})`
    case 'unlisted':
      return 'who stands by is not written down at the witness yet'
    case 'behind':
      return `the agent is strict, and none of ${without} is in step`
    case null:
      return `not confirmed by ${without}`
  }
}

/** Of several documents the one that came the least far. */
function least(a: Acknowledgement, b: Acknowledgement): Acknowledgement {
  const rank = ({ done, level }: Acknowledgement): number => (done ? LEVELS.length : 0) + LEVELS.indexOf(level)
  return rank(b) < rank(a) ? b : a
}
