import type { Status } from '@sealmesh/protocol/ipc/methods'
import { reactions } from '@sealmesh/protocol/errors'
import type { Fact } from '../health/home-health.ts'
import { notRelearntFrom } from '../health/relearnt.ts'
import { agentName, iso, nodeName } from './context.ts'
import { drillWarnings } from './drills.ts'
import { failoverWarnings } from './failover.ts'
import { folderWarnings } from './folders.ts'
import { quarantineWarnings } from './quarantine.ts'
import type { NodeServices } from './handlers.ts'

const FORK_WARNED_MS = 7 * 24 * 60 * 60_000

/** What a person should look at, each with its code. */
export function warningsOf(
  {
    relays,
    log,
    node,
    health,
    damage,
    documents,
    sync,
    folders,
    quarantine,
    now,
    keys,
    kitNote,
    drills,
    failover,
  }: Pick<
    NodeServices,
    | 'relays'
    | 'log'
    | 'node'
    | 'health'
    | 'damage'
    | 'documents'
    | 'sync'
    | 'folders'
    | 'quarantine'
    | 'now'
    | 'keys'
    | 'kitNote'
    | 'drills'
    | 'failover'
  >,
  findings: Status['findings'],
): Status['warnings'] {
  const warnings: Status['warnings'] = []
  const all = relays.status()
  // One that is alone needs no name.
  const which = ({ relay }: { readonly relay: string }): string =>
    all.length === 1 ? 'the relay' : `the relay ${relay.slice(0, 14)}`
  for (const relay of all) {
    if (relay.state !== 'refused' || relay.reason === null) continue
    const next =
      relay.reason in reactions ? reactions[relay.reason as keyof typeof reactions].next : 'sealmesh status --json'
    warnings.push({ code: relay.reason, message: `${which(relay)} refuses this node; ${next}` })
  }
  if ((log.mesh.nodes.get(node)?.revocations.length ?? 0) > 0)
    warnings.push({
      code: 'NODE_REVOKED',
      message: `this node was removed from the mesh; ${reactions.NODE_REVOKED.next}`,
    })
  const other = log.differsFrom()
  if (other !== null)
    warnings.push({
      code: 'MESH_DIFFERS',
      message: `the same records give another mesh here than on ${other.type === 'node' ? nodeName(log.mesh, other.node) : 'the machine that holds the root'}; ${reactions.MESH_DIFFERS.next}`,
    })
  const { rolledBack, copied, lost } = health.facts
  const since = ({ sinceMs, lastMs }: Fact): string =>
    sinceMs === lastMs ? iso(lastMs) : `${iso(sinceMs)} to ${iso(lastMs)}`
  if (rolledBack !== null) {
    const missing = notRelearntFrom(log.mesh, node, sync.peers(), rolledBack.lastMs)
    const names = missing.map((each) => nodeName(log.mesh, each)).join(', ')
    warnings.push({
      code: 'HOME_ROLLED_BACK',
      message: `this home held more once (${since(rolledBack)}): ${rolledBack.evidence.join('; ')}; what other machines know of it is being learnt again${names === '' ? '' : `, and not from all yet: bring up ${names}`}`,
    })
  }
  if (copied !== null)
    warnings.push({
      code: 'HOME_COPIED',
      message: `another process uses the keys of this home (${since(copied)}): ${copied.evidence.join('; ')}; stop it, or pair that machine anew`,
    })
  for (const { type, what, last } of findings) {
    if (type === 'withheld') warnings.push({ code: 'WITHHELD', message: what })
    // The blocks stay for ever; who has looked into it need not be told for as long.
    if (type === 'forked' && now() - Date.parse(last) < FORK_WARNED_MS)
      warnings.push({ code: 'BLOCKS_FORKED', message: what })
  }
  if (lost !== null) warnings.push({ code: 'STORE_DAMAGED', message: lost.evidence.join('; ') })
  if (damage.size > 0)
    warnings.push({
      code: 'STORE_DAMAGED',
      message: `${damage.size} document${damage.size === 1 ? ' is' : 's are'} damaged on this disk and refused until whole again; sealmesh scrub says which`,
    })
  if (documents.leftOut.isFull)
    warnings.push({
      code: 'LEFT_OUT_FULL',
      message: `so much is kept apart that documents stay as they were rather than take over what others have; ${reactions.LEFT_OUT_FULL.next}`,
    })
  const unkept = keys.root === undefined ? [] : kitNote.missing(keys.agents())
  if (unkept.length > 0)
    warnings.push({
      code: 'KIT_MISSING',
      message:
        kitNote.made === null
          ? 'there is no recovery kit: if this machine is lost, nobody can let machines in or remove them any more'
          : `the recovery kit has no key of ${unkept.map((agent) => agentName(log.mesh, agent)).join(', ')}`,
    })
  return [
    ...warnings,
    ...failoverWarnings({ failover, health, log, node }),
    ...quarantineWarnings({ quarantine, now }),
    ...folderWarnings({ folders }),
    ...drillWarnings({ drills }),
  ]
}
