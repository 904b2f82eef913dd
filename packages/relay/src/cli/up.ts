import { loadConfig } from '../config/load.ts'
import { type Settings, settingsOf, type UpFlags } from '../config/settings.ts'
import { type RunningRelay, runRelay } from '../main.ts'
import { type CommonFlags, configPathOf, dataOf } from './flags.ts'
import { Output } from './output.ts'

/** A stop that hangs must not outlive a supervisor's patience. */
const STOP_WAIT_MS = 8_000

/** Runs until SIGTERM or SIGINT; SIGHUP reads the settings again. Address and claim code go to stdout, logs to stderr. */
export async function up(flags: UpFlags & CommonFlags): Promise<void> {
  // Listened for before anything says that the relay is up: whoever reads that may stop it at once.
  const told = new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve())
    process.once('SIGINT', () => resolve())
  })
  let relay: RunningRelay | null = null
  process.on('SIGHUP', () => {
    // The log has said already what is wrong with a file that cannot be used.
    void relay?.reload().catch(() => undefined)
  })
  const { path, isNamed } = configPathOf(flags)
  const readSettings = async (): Promise<Settings> => settingsOf(flags, await loadConfig(path, isNamed), path)
  relay = await runRelay({ data: dataOf(flags), settings: await readSettings(), readSettings })
  const { address, claim, http, metrics } = relay
  new Output(flags.json === true).result(
    { address, claim, http, metrics },
    `relay address: ${address}`,
    ...(claim === null ? [] : [`claim code:    ${claim}`, '  admits one mesh, once, within a day']),
  )

  await told
  setTimeout(() => process.exit(1), STOP_WAIT_MS).unref()
  await relay.stop()
}
