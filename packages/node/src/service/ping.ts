import { Failure } from '@sealmesh/protocol/errors'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { Direct } from '../direct/open-direct.ts'
import type { Failover } from '../failover/failover.ts'
import type { Handlers } from '../ipc/door.ts'
import type { Via } from '../uplink/link-event.ts'
import { memberNamed, type ServiceContext } from './context.ts'

interface PingServices extends ServiceContext {
  readonly failover: Pick<Failover, 'askHeads'>
  readonly direct: Pick<Direct, 'paths' | 'targets'>
}

/** Whether another node answers now, over the same way as everything else. */
export function pingHandlers(context: PingServices): Pick<Handlers, 'ping'> {
  return {
    ping: async ({ node: named, timeoutMs }) => {
      const node = memberNamed(context.log.mesh, named)
      if (node.id === context.node)
        throw new Failure('USAGE', `${node.name} is this machine itself: ping asks another one.`, {
          next: 'sealmesh status lists the others',
        })
      if (!context.direct.paths.reaches(node.id))
        throw new Failure('RELAY_UNREACHABLE', 'This node is connected to no relay now.', { next: 'sealmesh netcheck' })
      const beganMs = performance.now()
      const via = await answered(context.failover, node.id, timeoutMs)
      if (via === 'nothing')
        throw new Failure('WAIT_TIMEOUT', `${node.name} has not answered within ${timeoutMs} ms.`, {
          next: 'sealmesh status says when it was heard last; sealmesh netcheck there says what it reaches',
        })
      const ms = Math.round((performance.now() - beganMs) * 10) / 10
      const byRelay = via === undefined ? null : `relay_${via}`
      return { node: node.name, ms, via: via === 'direct' ? via : byRelay, why: whyPath(context, node.id) }
    },
  }
}

/** A question of its own each time: a late answer to an earlier one is none to this. */
function answered(
  failover: Pick<Failover, 'askHeads'>,
  node: Parameters<Failover['askHeads']>[0],
  timeoutMs: number,
): Promise<Via | undefined | 'nothing'> {
  return new Promise((resolve) => {
    const giveUp = setTimeout(() => resolve('nothing'), timeoutMs)
    failover.askHeads(node, (via) => {
      clearTimeout(giveUp)
      resolve(via)
    })
  })
}

/** Why questions go this way now; for people. */
function whyPath({ direct }: PingServices, node: NodeId): string {
  switch (direct.paths.pathTo(node)) {
    case 'direct':
      return 'there is a direct link to it, which is preferred while it answers'
    case 'does not answer':
      return 'its direct link does not answer: relays carry everything until it does'
    case 'no link': {
      const lost = direct.targets().find((each) => each.peer === node && each.reason !== null)
      if (lost === undefined) return 'no direct link to it is set up or found'
      return `a direct link to it is ${lost.state} (${lost.reason})`
    }
  }
}
