import { spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Failure, type FailureCode, reactions } from '@sealmesh/protocol/errors'
import { connectDoor } from '../ipc/client.ts'
import { diskFailure } from '../keys/disk-failure.ts'
import { PRIVATE_FILE_MODE } from '../keys/durable-file.ts'
import { type Home, prepareHome } from '../keys/home.ts'

const START_WAIT_MS = 60_000 // A first run asks the relay; a large store replays what a crash left.

/** What a detached node tells the command that started it, once, over the pipe between them. */
export type StartReport =
  | {
      readonly type: 'up'
      readonly home: string
      readonly socketPath: string
      readonly node: string
      readonly mesh: string
      readonly firstRun: boolean
    }
  | { readonly type: 'failed'; readonly code: FailureCode; readonly message: string; readonly next: string }

/**
 * Starts `sealmesh up` in a session of its own, with its output in the node's log, and waits until its socket answers.
 * What keeps it from starting is thrown here as if it had happened here.
 */
export async function startDetached(
  home: Home,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  passphrase: string | undefined,
): Promise<Extract<StartReport, { type: 'up' }>> {
  await prepareHome(home)
  const log = await open(home.log, 'a', PRIVATE_FILE_MODE).catch((error: unknown) => {
    throw diskFailure(error, `opening the log ${home.log}`)
  })
  const program = fileURLToPath(new URL('../../bin/sealmesh.js', import.meta.url))
  const words = [program, 'up', '--announce', '--json', '--home', home.path, ...args]
  if (passphrase !== undefined) words.push('--passphrase-file', '-')
  const child = spawn(process.execPath, words, {
    detached: true,
    // Through a pipe: others of this machine read arguments, and every child inherits the environment.
    stdio: [passphrase === undefined ? 'ignore' : 'pipe', log.fd, log.fd, 'ipc'],
    env,
  })
  // It may end before it reads; why is in its report.
  child.stdin?.on('error', () => undefined).end(`${passphrase ?? ''}\n`)
  try {
    const report = await reportOf(child, home)
    if (report.type === 'failed') throw new Failure(report.code, report.message, { next: report.next })
    const door = await connectDoor(report.socketPath)
    await door.close()
    return report
  } finally {
    if (child.connected) child.disconnect()
    child.unref()
    await log.close()
  }
}

function reportOf(child: ReturnType<typeof spawn>, home: Home): Promise<StartReport> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(
        new Failure('CORE_BUSY', `The node has not come up within ${START_WAIT_MS / 1_000} s; it goes on trying.`, {
          next: `look at ${home.log}`,
        }),
      )
    }, START_WAIT_MS)
    child.once('message', (message) => {
      clearTimeout(timer)
      resolve(message as StartReport)
    })
    child.once('error', (error) => {
      clearTimeout(timer)
      reject(diskFailure(error, 'starting the node'))
    })
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      reject(
        new Failure('INTERNAL', `The node ended while it started (${signal ?? `exit code ${code}`}).`, {
          next: `look at ${home.log}`,
        }),
      )
    })
  })
}

/** In the detached node: tells whoever started it, and lets go of it. */
export function announce(report: StartReport): void {
  if (process.send === undefined) return
  // The starter may be gone already, which is no reason to stop.
  process.send(report, () => {
    if (process.connected) process.disconnect()
  })
}

export const failureReport = (failure: Failure): StartReport => ({
  type: 'failed',
  code: Object.hasOwn(reactions, failure.code) ? failure.code : 'INTERNAL',
  message: failure.message,
  next: failure.next,
})
