import type { LeaseListing } from '@sealmesh/protocol/failover/lease-listing'
import type { LogKeeper } from '../membership/log-keeper.ts'
import { Acknowledgements } from './acknowledgements.ts'
import { SyncSets, type SyncSetsDeps } from './sync-sets.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'

type Deps = Omit<SyncSetsDeps, 'log' | 'sync' | 'monotonicMs'> & {
  readonly log: LogKeeper
  readonly sync: MeshSync
  readonly lease: LeaseListing
}

/** Who stands by for the agents of this node, and who waits for these to have a write. */
export function openAcknowledgements(
  deps: Deps,
  monotonicMs = (): number => performance.now(),
): { readonly acknowledgements: Acknowledgements; readonly close: () => void } {
  const { node, log, sync, lease } = deps
  const sets = new SyncSets({ ...deps, monotonicMs })
  const acknowledgements = new Acknowledgements({ node, mesh: () => log.mesh, sync, sets, lease, monotonicMs })
  log.onChange(() => acknowledgements.changed())
  return {
    acknowledgements,
    close: () => {
      sets.close()
      acknowledgements.close()
    },
  }
}
