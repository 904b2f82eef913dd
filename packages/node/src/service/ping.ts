import { Failure } from '@sealmesh/protocol/errors'
import type { RelayId } from '@sealmesh/protocol/ids'
import type { Failover } from '../failover/failover.ts'
import type { Handlers } from '../ipc/door.ts'
import type { Relays } from '../uplink/relays.ts'
import { memberNamed, type ServiceContext } from './context.ts'

/** Whether another node answers now, over the same way as everything else. */
export function pingHandlers(
  context: ServiceContext & { readonly failover: Pick<Failover, 'askHeads'>; readonly relays: Pick<Relays, 'status'> },
): Pick<Handlers, 'ping'> {
  return {
    ping: async ({ node: named, timeoutMs }) => {
      const node = memberNamed(context.log.mesh, named)
      if (node.id === context.node) throw new Failure('USAGE', 'This node is asked by nobody but you.')
      if (!context.relays.status().some(({ state }) => state === 'live'))
        throw new Failure('RELAY_UNREACHABLE', 'This node is connected to no relay now.', { next: 'sealmesh netcheck' })
      const beganMs = performance.now()
      const via = await answered(context.failover, node.id, timeoutMs)
      if (via === 'nothing')
        throw new Failure('WAIT_TIMEOUT', `${node.name} has not answered within ${timeoutMs} ms.`, {
          next: 'sealmesh status says when it was heard last; sealmesh netcheck there says what it reaches',
        })
      const ms = Math.round((performance.now() - beganMs) * 10) / 10
      return { node: node.name, ms, via: via === undefined ? null : `relay_${via}` }
    },
  }
}

/** A question of its own each time: a late answer to an earlier one is none to this. */
function answered(
  failover: Pick<Failover, 'askHeads'>,
  node: Parameters<Failover['askHeads']>[0],
  timeoutMs: number,
): Promise<RelayId | undefined | 'nothing'> {
  return new Promise((resolve) => {
    const giveUp = setTimeout(() => resolve('nothing'), timeoutMs)
    failover.askHeads(node, (via) => {
      clearTimeout(giveUp)
      resolve(via)
    })
  })
}
