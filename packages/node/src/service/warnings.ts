import type { Status } from '@sealmesh/protocol/ipc/methods'
import { reactions } from '@sealmesh/protocol/errors'
import type { NodeServices } from './handlers.ts'

/** What a person should look at, each with its code. */
export function warningsOf({ relays, log, node }: Pick<NodeServices, 'relays' | 'log' | 'node'>): Status['warnings'] {
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
  return warnings
}
