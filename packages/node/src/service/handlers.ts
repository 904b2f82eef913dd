import { DOOR_VERSION } from '@sealmesh/protocol/version'
import { Failure } from '@sealmesh/protocol/errors'
import { formatId } from '@sealmesh/protocol/ids'
import type { Compaction } from '../documents/compaction.ts'
import type { ConfigKeeper } from '../config/config-keeper.ts'
import type { Direct } from '../direct/open-direct.ts'
import type { EventFeed } from '../events/feed.ts'
import type { Folders } from '../folders/folders.ts'
import type { Refusals } from '../events/refusals.ts'
import type { Acknowledgements } from '../failover/acknowledgements.ts'
import type { Handlers } from '../ipc/door.ts'
import type { KeyStore } from '../keys/key-store.ts'
import type { InviterDriver } from '../pairing/inviter-driver.ts'
import type { Quarantine } from '../quarantine/quarantine.ts'
import type { Presence } from '../presence/presence.ts'
import type { KitNote } from '../recovery/kit-note.ts'
import type { LogCopies } from '../recovery/log-copies.ts'
import type { LastHeard } from '../status/last-heard.ts'
import type { Meta } from '../store/meta.ts'
import type { ReceiptStore } from '../store/receipt-store.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'
import type { Snapshots } from '../snapshots/snapshots.ts'
import type { Drills } from '../drills/drills.ts'
import type { Relays } from '../uplink/relays.ts'
import type { Agents } from '../agents/open-agents.ts'
import { versionNumber } from '../version-number.ts'
import { agentHandlers } from './agents.ts'
import { configHandlers } from './config.ts'
import { conflictHandlers } from './conflicts.ts'
import type { ServiceContext } from './context.ts'
import type { DefaultShares } from './default-shares.ts'
import { deviceHandlers } from './devices.ts'
import { diffHandlers } from './diff.ts'
import { directStatus } from './direct.ts'
import { drillHandlers, drillStatus } from './drills.ts'
import { eventHandlers } from './events.ts'
import type { ActJournal } from '../failover/act-journal.ts'
import type { Failover } from '../failover/failover.ts'
import { failoverHandlers } from './failover.ts'
import { findingsOf, type FindingSources } from './findings.ts'
import { historyHandlers } from './history.ts'
import { folderHandlers } from './folders.ts'
import { itemHandlers } from './items.ts'
import { keyHandlers } from './keys.ts'
import { lapseHandlers } from './lapse.ts'
import { lateHandlers } from './late.ts'
import type { MergedLate } from './merged-late.ts'
import { pairingHandlers } from './pairing.ts'
import { editingNow, presenceHandlers } from './presence.ts'
import { quarantineHandlers } from './quarantine.ts'
import { scrubHandlers, type ScrubServices } from './scrub.ts'
import { sharingHandlers } from './sharing.ts'
import { snapshotHandlers, snapshotStatus } from './snapshots.ts'
import { reconcileHandlers } from './reconcile.ts'
import { pingHandlers } from './ping.ts'
import { relayHandlers } from './relays.ts'
import { relaysOf, statusOf } from './status.ts'
import { takeoverHandlers } from './takeover.ts'
import { textHandlers } from './texts.ts'
import { watchHandlers } from './watch.ts'
import { waitHandlers } from './wait.ts'
import { whyHandlers } from './why.ts'
import { warningsOf } from './warnings.ts'

export interface NodeServices extends ServiceContext, Omit<ScrubServices, 'sync'>, Omit<FindingSources, 'health'> {
  readonly home: string
  readonly startedAtMs: number
  readonly sync: MeshSync
  readonly relays: Relays
  readonly direct: Direct
  readonly presence: Presence
  readonly receipts: ReceiptStore
  readonly keys: KeyStore
  readonly meta: Meta
  readonly inviter: InviterDriver
  readonly quarantine: Quarantine
  readonly copies: LogCopies
  readonly kitNote: KitNote
  readonly folders: Folders
  readonly mergedLate: MergedLate
  readonly compaction: Compaction
  readonly lastHeard: LastHeard
  readonly acknowledgements: Acknowledgements
  readonly config: ConfigKeeper
  readonly defaults: DefaultShares
  readonly feed: EventFeed
  readonly snapshots: Snapshots
  readonly failover: Failover
  readonly journal: ActJournal
  readonly drills: Drills
  readonly refusals: Refusals
  readonly agents: Agents
  readonly stop: () => void
}

/** Every method of the local socket, each from the file that is named for it. */
export function handlersOf(services: NodeServices): Handlers {
  return {
    hello: ({ version }) => {
      if (version !== DOOR_VERSION)
        throw new Failure('VERSION_MISMATCH', `This node speaks version ${DOOR_VERSION} of the local socket.`)
      return { version: DOOR_VERSION, node: formatId('node', services.node) }
    },
    status: () =>
      statusOf(services, {
        home: services.home,
        version: versionNumber(),
        startedAtMs: services.startedAtMs,
        peers: () => services.sync.peers(),
        standings: (node) => services.sync.standings(node),
        lastHeard: services.lastHeard,
        mergedLate: services.mergedLate,
        acknowledgements: services.acknowledgements,
        relays: () => relaysOf(services),
        direct: () => directStatus(services, services.direct),
        findings: () => findingsOf(services),
        warnings: (findings) => warningsOf(services, findings),
        editing: () => editingNow(services),
        snapshots: () => snapshotStatus(services.snapshots),
        drills: () => drillStatus(services.drills),
      }),
    down: () => {
      // After the answer has left: stopping closes the socket that it travels on.
      setImmediate(services.stop)
      return {}
    },
    ...agentHandlers({ ...services, newAgentKey: () => services.keys.addAgent() }),
    ...services.agents.handlers,
    ...itemHandlers(services),
    ...textHandlers(services),
    ...folderHandlers(services),
    ...presenceHandlers(services),
    ...sharingHandlers(services),
    ...conflictHandlers(services),
    ...whyHandlers(services),
    ...diffHandlers(services),
    ...waitHandlers(services),
    ...historyHandlers(services),
    ...eventHandlers(services),
    ...lateHandlers(services),
    ...scrubHandlers(services),
    ...snapshotHandlers(services),
    ...drillHandlers(services),
    ...takeoverHandlers(services),
    ...failoverHandlers(services),
    ...reconcileHandlers(services),
    ...relayHandlers(services),
    ...pingHandlers(services),
    ...pairingHandlers(services.inviter),
    ...quarantineHandlers(services),
    ...deviceHandlers(services),
    ...keyHandlers(services),
    ...configHandlers(services),
    ...lapseHandlers(services),
    ...watchHandlers(services),
  }
}
