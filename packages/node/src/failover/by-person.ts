import { Failure } from '@sealmesh/protocol/errors'
import { claimOf } from '@sealmesh/protocol/failover/claim'
import { prefixOf } from '@sealmesh/protocol/failover/prefix'
import type { AgentId } from '@sealmesh/protocol/ids'
import type { MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { LogKeeper } from '../membership/log-keeper.ts'
import type { Failover } from './failover.ts'
import { blockedWords } from './fenced.ts'

export interface PersonSays {
  readonly reason: string
  /** Past what is blocked, with a reason of its own. */
  readonly acceptDataLoss?: string | undefined
  /** Past the register: somebody has looked at the old machine. */
  readonly force: boolean
}

/**
 * A takeover that a person has confirmed. Where a lease may stand it goes through the holder's register, which refuses
 * while the holder may act; `force` goes past that, and exclusivity is not claimed of such a term.
 */
export async function takeByPerson(
  failover: Failover,
  log: LogKeeper,
  agentId: AgentId,
  says: PersonSays,
): Promise<void> {
  const agent = log.mesh.agents.get(agentId)
  const term = agent?.term ?? null
  if (agent === undefined) throw new Failure('AGENT_UNKNOWN', 'The mesh has no such agent.')
  const loss = says.acceptDataLoss
  const reason =
    loss === undefined ? says.reason : `${says.reason === '' ? '' : `${says.reason}; `}data loss accepted: ${loss}`
  if (term === null || says.force || !(await mayBeLeased(failover, agent))) {
    if (!says.force) return void (await failover.taker.byLog(agentId, reason))
    return failover.byWord(agentId, reason)
  }
  const watched = await failover.standby.look(term.holder, true)
  if (watched === undefined)
    throw new Failure(
      'RELAY_UNREACHABLE',
      'The relay that keeps the leases does not answer, so nobody can say that the holder does not act.',
      {
        next: 'bring the relay back; or look at the old machine, and add --force',
      },
    )
  const claim = watched.blob === null ? undefined : claimOf(watched.blob, agent).type
  if (claim === undefined || claim === 'unknown' || !failover.standby.isTrusted(agentId, term.holder, watched))
    throw new Failure('LEASE_UNKNOWN', 'The register of the holder does not say what became of the agent.')
  const outcome = await failover.taker.take(agentId, watched, {
    how: 'break',
    reason,
    acceptDataLoss: loss !== undefined,
    unlisted: true,
  })
  if (outcome.type === 'blocked')
    throw new Failure('TAKEOVER_BLOCKED', `What was acknowledged could be lost: ${blockedWords(outcome.why)}.`)
  if (outcome.type === 'not-now')
    throw new Failure(
      'LEASE_RUNS',
      'The register has changed, or has not stood still for long enough: its holder, or another machine, may be acting now.',
    )
}

/** A manual agent may still be listed, from when it was not manual. */
async function mayBeLeased(failover: Failover, { failover: policy, term }: MeshAgent): Promise<boolean> {
  if (policy.mode !== 'manual') return true
  if (failover.timing === null || term === null) return false
  const watched = await failover.standby.look(term.holder, true)
  return watched?.blob?.held.some(({ record }) => record === prefixOf(term.record)) === true
}
