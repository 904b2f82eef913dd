import type { Status } from '@sealmesh/protocol/ipc/methods'
import { reactions } from '@sealmesh/protocol/errors'
import { iso } from './context.ts'
import type { NodeServices } from './handlers.ts'

/** What a person should look at, each with its code. */
export function warningsOf({
  relays,
  log,
  node,
  homeFacts,
  now,
}: Pick<NodeServices, 'relays' | 'log' | 'node' | 'homeFacts' | 'now'>): Status['warnings'] {
  const warnings: Status['warnings'] = []
  for (const relay of relays.status()) {
    if (relay.state !== 'refused' || relay.reason === null) continue
    const next =
      relay.reason in reactions ? reactions[relay.reason as keyof typeof reactions].next : 'sealmesh status --json'
    warnings.push({ code: relay.reason, message: `the relay refuses this node; ${next}` })
  }
  if ((log.mesh.nodes.get(node)?.revocations.length ?? 0) > 0)
    warnings.push({
      code: 'NODE_REVOKED',
      message: `this node was removed from the mesh; ${reactions.NODE_REVOKED.next}`,
    })
  for (const { kind, firstAtMs, lastAtMs } of homeFacts.all()) {
    if (now() - lastAtMs > HOME_FACT_SHOWN_MS) continue
    const at = firstAtMs === lastAtMs ? iso(lastAtMs) : `${iso(firstAtMs)} to ${iso(lastAtMs)}`
    warnings.push(
      kind === 'rolled-back'
        ? {
            code: 'HOME_ROLLED_BACK',
            message: `what this machine had written came back from another one and was not here (${at}): this home was restored from an older copy, or a copy of it runs elsewhere`,
          }
        : { code: 'HOME_COPIED', message: `another process uses the keys of this home (${at})` },
    )
  }
  return warnings
}

/** Long enough to be seen by who looks in once a week. */
const HOME_FACT_SHOWN_MS = 7 * 24 * 60 * 60_000
