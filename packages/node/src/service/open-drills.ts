import type { ConfigKeeper } from '../config/config-keeper.ts'
import { Drills } from '../drills/drills.ts'
import type { DrillsDeps } from '../drills/drills-deps.ts'
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
  readonly sync: Pick<MeshSync, 'askAgain'>
  readonly config: Pick<ConfigKeeper, 'now'>
  readonly home: Pick<Home, 'drills'>
  readonly health: Pick<HomeHealth, 'facts'>
  readonly withholdings: Pick<Withholdings, 'all'>
  readonly failover: Pick<Failover, 'fence'>
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
    openStore,
    monotonicMs: () => performance.now(),
  })
