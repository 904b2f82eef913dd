import type { ConfigKeeper } from '../config/config-keeper.ts'
import type { Handlers } from '../ipc/door.ts'
import type { ServiceContext } from './context.ts'
import { type DefaultShares, defaultsDue } from './default-shares.ts'

/** Reads the config again while the node runs. */
export function configHandlers(
  context: ServiceContext & { readonly config: ConfigKeeper; readonly defaults: DefaultShares },
): Pick<Handlers, 'config.reload'> {
  return {
    'config.reload': async () => {
      await context.config.reload()
      await context.defaults.apply()
      const due = defaultsDue(context.log.mesh, context.node, context.config.now)
      return { waiting: due.flatMap(({ agent, unknown }) => unknown.map((each) => `${agent.name}.${each}`)) }
    },
  }
}
