import { access } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { Failure } from '@sealmesh/protocol/errors'
import { Command } from 'commander'
import { connectDoor, type DoorClient } from '../ipc/client.ts'
import type { Home } from '../keys/home.ts'
import { findSocket } from '../keys/socket-path.ts'
import { example } from './example.ts'
import { type Cli, withHome } from './session.ts'

const STOP_WAIT_MS = 30_000 // Longer than a node takes to drain its connections and close its store.
const LOOK_AGAIN_MS = 20

export const down = (cli: Cli): Command =>
  new Command('down')
    .summary('stop the node')
    .description('Stops the node of this home and returns when it has stopped. No error when there is none.')
    .addHelpText('after', example('sealmesh down'))
    .action(
      withHome(cli, async ({ home, output }) => {
        const wasRunning = await stop(home)
        output.data({ wasRunning })
        output.hint(wasRunning ? 'the node has stopped' : 'no node was running')
      }),
    )

async function stop(home: Home): Promise<boolean> {
  let door: DoorClient
  try {
    door = await connectDoor(await findSocket(home))
  } catch (error) {
    if (isNotRunning(error)) return false
    throw error
  }
  try {
    await door.call('down', {})
  } catch (error) {
    // It may be gone before its answer is.
    if (!isNotRunning(error)) throw error
  } finally {
    await door.close()
  }
  // The pid file goes last, after the store is closed: from then on the home is free.
  for (const giveUpAtMs = Date.now() + STOP_WAIT_MS; await exists(home.pid); await wait(LOOK_AGAIN_MS))
    if (Date.now() > giveUpAtMs)
      throw new Failure('CORE_BUSY', `The node was told to stop, and still uses ${home.path}.`)
  return true
}

const isNotRunning = (error: unknown): boolean => error instanceof Failure && error.code === 'NODE_NOT_RUNNING'

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch {
    return false
  }
}
