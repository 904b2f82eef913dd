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

/** A node has two doors, each in a folder of its own: agents in a container are given theirs, and nothing else. */
const DOORS = {
  owner: { folder: '', socket: 'sealmesh.sock', pipe: '' },
  agents: { folder: 'agents', socket: 'sealmesh-agents.sock', pipe: '-agents' },
} as const
export type DoorName = keyof typeof DOORS

/**
 * Where the node listens. Node truncates longer paths without a word, so a deep home gets its socket in a short
 * folder of its own under XDG_RUNTIME_DIR or the temporary folder, and `run/socket-path` tells clients, whose
 * environment may differ (cron has no XDG_RUNTIME_DIR). Call it under the home's lock.
 */
export async function claimSocketPath(home: Home, env: NodeJS.ProcessEnv, door: DoorName = 'owner'): Promise<string> {
  if (process.platform === 'win32') return pipeOf(home, door)
  const pointer = pointerOf(home, door)
  try {
    const usual = usualPath(home, door)
    if (fits(usual)) {
      if (door === 'agents') await makePrivateDirectory(dirname(usual))
      await rm(pointer, { force: true })
      return usual
    }
    const base = shortDirectory(home, env, door)
    const short = join(base, DOORS[door].folder, DOORS[door].socket)
    for (const directory of new Set([base, dirname(short)])) {
      await makePrivateDirectory(directory)
      await refuseSharedDirectory(directory)
    }
    await writeDurably(pointer, `${short}\n`)
    return short
  } catch (error) {
    throw diskFailure(error, `making a place for the socket of ${home.path}`)
  }
}

/** Where the node of this home listens, if it does. */
export async function findSocket(home: Home): Promise<string> {
  if (process.platform === 'win32') return pipeOf(home, 'owner')
  let pointed: string
  try {
    pointed = (await readFile(home.socketPointer, 'utf8')).trim()
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR')
      throw diskFailure(error, `reading ${home.socketPointer}`)
    const usual = usualPath(home, 'owner')
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

const usualPath = (home: Home, door: DoorName): string => join(home.run, DOORS[door].folder, DOORS[door].socket)
const pointerOf = (home: Home, door: DoorName): string =>
  door === 'owner' ? home.socketPointer : join(home.run, 'agents-socket-path')

function shortDirectory(home: Home, env: NodeJS.ProcessEnv, door: DoorName): string {
  const name = `sealmesh-${hashOf(home)}`
  const { folder, socket } = DOORS[door]
  const bases = [env['XDG_RUNTIME_DIR'] ?? '', env['TMPDIR'] ?? '', tmpdir(), '/tmp']
  const base = bases.find((candidate) => candidate !== '' && fits(join(candidate, name, folder, socket)))
  if (base === undefined) {
    const bytes = Buffer.byteLength(usualPath(home, door))
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
const pipeOf = (home: Home, door: DoorName): string => `\\\\.\\pipe\\sealmesh-${hashOf(home)}${DOORS[door].pipe}`
