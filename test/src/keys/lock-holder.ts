import { resolveHome } from '@sealmesh/node/keys/home'
import { lockHome } from '@sealmesh/node/keys/home-lock'
import { Failure } from '@sealmesh/protocol/errors'

/** A process that takes a home's lock, says how that went, and stays: killed by its test. */
const say = (message: string): void => void process.send?.(message)

try {
  await lockHome(resolveHome(process.argv[2], {}))
  say('locked')
} catch (error) {
  say(error instanceof Failure ? error.code : String(error))
}
// The channel to the test keeps this process alive.
process.on('message', () => undefined)
