import type { NodeId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Logger } from 'pino'
import type { KeyStore } from '../keys/key-store.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import { LogCopies } from '../recovery/log-copies.ts'
import { tokenForRecovery } from '../setup/identity.ts'
import type { LastHeard } from '../status/last-heard.ts'
import type { Meta } from '../store/meta.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'
import type { Relays } from '../uplink/relays.ts'

export function openLogCopies(deps: {
  readonly node: NodeId
  readonly keys: KeyStore
  readonly log: LogKeeper
  readonly meta: Meta
  readonly relays: Relays
  readonly sync: MeshSync
  readonly lastHeard: LastHeard
  readonly sodium: Sodium
  readonly random: (bytes: number) => Uint8Array
  readonly now: () => number
  readonly logger: Logger
}): Promise<LogCopies> {
  const { keys, log, meta, relays, sync, lastHeard, sodium } = deps
  return LogCopies.open({
    ...deps,
    mailboxes: () => keys.mailboxes.ids(deps.now()),
    prekeys: () => keys.prekeys(),
    send: (packet) => relays.send(packet),
    enrol: async () => {
      const { recovery, id } = log.mesh
      if (recovery !== null) await relays.enrol(await tokenForRecovery(meta, keys, id, recovery.loginKey, sodium))
    },
    heard: () => new Map(sync.heard().map(({ node, atMs }) => [node, atMs ?? lastHeard.of(node)])),
  })
}
