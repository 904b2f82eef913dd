import { packetFailures } from '@sealmesh/protocol/envelope/failure'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { Status } from '@sealmesh/protocol/ipc/methods'
import type { Handlers } from '../ipc/door.ts'
import { KEPT_PER_CODE } from '../quarantine/quarantine.ts'
import { iso, nodeName } from './context.ts'
import type { NodeServices } from './handlers.ts'

/** Long enough to be seen by who looks in daily. */
const WARNED_MS = 24 * 60 * 60_000

export function quarantineHandlers({
  quarantine,
  log,
}: Pick<NodeServices, 'quarantine' | 'log'>): Pick<Handlers, 'quarantine.ls'> {
  return {
    'quarantine.ls': () => ({
      packets: quarantine.entries().map(({ packet, code, sender, bytes, firstMs, lastMs, times }) => ({
        packet,
        code,
        means: packetFailures[code].means,
        sender: sender === null ? null : nodeName(log.mesh, sender as NodeId),
        senderProven: packetFailures[code].proven,
        bytes,
        firstAt: iso(firstMs),
        lastAt: iso(lastMs),
        times,
      })),
      counts: quarantine.counts(),
      keptPerCode: KEPT_PER_CODE,
    }),
  }
}

/** Only what no honest machine and no honest relay does. */
export function quarantineWarnings({ quarantine, now }: Pick<NodeServices, 'quarantine' | 'now'>): Status['warnings'] {
  const sinceMs = now() - WARNED_MS
  const codes = new Map<string, number>()
  for (const { code, lastMs, times } of quarantine.entries())
    if (lastMs >= sinceMs && !packetFailures[code].harmless) codes.set(code, (codes.get(code) ?? 0) + times)
  if (codes.size === 0) return []
  const found = [...codes].map(([code, times]) => `${code} ${times} times`).join(', ')
  return [
    {
      code: 'PACKETS_NOT_USED',
      message: `packets came in the last day that nobody honest sends (${found}); sealmesh quarantine ls`,
    },
  ]
}
