import type { Logger } from 'pino'
import type { ConfigKeeper } from '../config/config-keeper.ts'
import type { DefaultShares } from './default-shares.ts'

/**
 * A terminal that closes means the end, as ever; to a process without one the signal says: read the config again.
 * Gives what ends it.
 */
export function reloadOnHangUp(
  config: Pick<ConfigKeeper, 'reload'>,
  defaults: Pick<DefaultShares, 'apply'>,
  logger: Pick<Logger, 'error'>,
): () => void {
  const onHangUp = (): void => {
    config.reload().then(
      () => defaults.apply(),
      (error: unknown) => logger.error({ err: error }, 'the config was not read again'),
    )
  }
  if (process.stdin.isTTY !== true) process.on('SIGHUP', onHangUp)
  return () => void process.off('SIGHUP', onHangUp)
}
