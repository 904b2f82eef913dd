import type { MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { ConfigKeeper } from '../config/config-keeper.ts'
import { Drills } from '../drills/drills.ts'
import type { DrillsDeps } from '../drills/drills-deps.ts'
import type { Movers } from '../drills/movers.ts'
import type { Failover } from '../failover/failover.ts'
import type { HomeHealth } from '../health/home-health.ts'
import type { Home } from '../keys/home.ts'
import { openStore } from '../store/store.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'
import type { Withholdings } from '../trust/withholdings.ts'
import type { Relays } from '../uplink/relays.ts'
import type { ServiceContext } from './context.ts'

interface Parts
  extends Pick<DrillsDeps, 'store' | 'closed' | 'receipts' | 'port' | 'meta' | 'random' | 'times'>,
    Pick<ServiceContext, 'node' | 'signKey' | 'sodium' | 'log' | 'documents' | 'logger' | 'now'> {
  readonly relays: Pick<Relays, 'send'>
  readonly sync: Pick<MeshSync, 'askAgain' | 'standings'>
  readonly config: Pick<ConfigKeeper, 'now'>
  readonly home: Pick<Home, 'drills'>
  readonly health: Pick<HomeHealth, 'facts'>
  readonly withholdings: Pick<Withholdings, 'all'>
  readonly failover: Failover
}

export const openDrills = (parts: Parts): Promise<Drills> =>
  Drills.open({
    ...parts,
    mesh: () => parts.log.mesh,
    send: (packet) => parts.relays.send(packet),
    askAgain: () => parts.sync.askAgain(),
    incidents: { ...parts, fence: parts.failover.fence },
    config: () => parts.config.now,
    directory: parts.home.drills,
    movers: moversOf(parts),
    openStore,
    monotonicMs: () => performance.now(),
  })

const moversOf = ({ failover, sync }: Pick<Parts, 'failover' | 'sync'>): Movers => {
  const isLeased = ({ failover: { mode } }: MeshAgent): boolean => mode !== 'manual'
  return {
    handover: (agent, to) => failover.handover.run(agent, to),
    isHanded: (agent) => failover.handover.handed.some((each) => each.agent === agent),
    fence: failover.fence,
    isListed: (agent) => !isLeased(agent) || failover.lease.won?.held.get(agent.id)?.record === agent.term?.record,
    isCaughtUp: (agent, record) => !isLeased(agent) || failover.acting.isCaughtUp(agent.id, record),
    grantAct: (agent) => failover.grantAct(agent),
    isRipe: (agent, holder) => {
      const watched = failover.standby.seen(holder)
      return watched !== undefined && failover.standby.ripeInMs(agent, holder, watched) <= 0
    },
    standings: (node) => sync.standings(node),
    endProcess: () => process.kill(process.pid, 'SIGKILL'),
  }
}
