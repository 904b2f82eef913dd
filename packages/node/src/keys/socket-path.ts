import { createHash } from 'node:crypto'
import { lstat, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { SOCKET_PATH_BYTES_MAX } from '@sealmesh/protocol/limits'
import { diskFailure, errnoOf } from './disk-failure.ts'
import { makePrivateDirectory, writeDurably } from './durable-file.ts'
import type { Home } from './home.ts'
import { refuseOtherOwner, refuseWideModes } from './modes.ts'

const SOCKET_NAME = 'sealmesh.sock'

/**
 * Where the node listens. Node truncates longer paths without a word, so a deep home gets its socket in a short
 * folder of its own under XDG_RUNTIME_DIR or the temporary folder, and `run/socket-path` tells clients, whose
 * environment may differ (cron has no XDG_RUNTIME_DIR). Call it under the home's lock.
 */
export async function claimSocketPath(home: Home, env: NodeJS.ProcessEnv): Promise<string> {
  if (process.platform === 'win32') return pipeOf(home)
  try {
    const usual = join(home.run, SOCKET_NAME)
    if (fits(usual)) {
      await rm(home.socketPointer, { force: true })
      return usual
    }
    const short = join(shortDirectory(home, env), SOCKET_NAME)
    await makePrivateDirectory(dirname(short))
    await refuseSharedDirectory(dirname(short))
    await writeDurably(home.socketPointer, `${short}\n`)
    return short
  } catch (error) {
    throw diskFailure(error, `making a place for the socket of ${home.path}`)
  }
}

/** Where the node of this home listens, if it does. */
export async function findSocket(home: Home): Promise<string> {
  if (process.platform === 'win32') return pipeOf(home)
  let pointed: string
  try {
    pointed = (await readFile(home.socketPointer, 'utf8')).trim()
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR')
      throw diskFailure(error, `reading ${home.socketPointer}`)
    const usual = join(home.run, SOCKET_NAME)
    if (fits(usual)) return usual
    // Never connect to a truncated path: it could be another home's.
    throw new Failure('NODE_NOT_RUNNING', `No node runs on the home ${home.path}.`)
  }
  try {
    // The temporary folder is everybody's: after a reboot somebody else could sit at this path.
    await refuseSharedDirectory(dirname(pointed))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw new Failure('NODE_NOT_RUNNING', `No node runs on the home ${home.path}.`)
    throw diskFailure(error, `looking for the socket of ${home.path}`)
  }
  return pointed
}

function shortDirectory(home: Home, env: NodeJS.ProcessEnv): string {
  const name = `sealmesh-${hashOf(home)}`
  const bases = [env['XDG_RUNTIME_DIR'] ?? '', env['TMPDIR'] ?? '', tmpdir(), '/tmp']
  const base = bases.find((candidate) => candidate !== '' && fits(join(candidate, name, SOCKET_NAME)))
  if (base === undefined) {
    const bytes = Buffer.byteLength(join(home.run, SOCKET_NAME))
    throw new Failure(
      'SOCKET_PATH_TOO_LONG',
      `The socket's path has ${bytes} bytes, and this system takes ${SOCKET_PATH_BYTES_MAX}. The temporary folders are too deep as well.`,
    )
  }
  return join(base, name)
}

async function refuseSharedDirectory(directory: string): Promise<void> {
  const stats = await lstat(directory)
  if (!stats.isDirectory()) throw new Failure('HOME_UNUSABLE', `${directory} is not a folder.`)
  refuseOtherOwner(directory, stats)
  refuseWideModes(directory, stats)
}

const fits = (path: string): boolean => Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX
const hashOf = (home: Home): string => createHash('sha256').update(home.path).digest('hex').slice(0, 16)
const pipeOf = (home: Home): string => `\\\\.\\pipe\\sealmesh-${hashOf(home)}`
