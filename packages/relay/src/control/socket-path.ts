import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { SOCKET_PATH_BYTES_MAX } from '@sealmesh/protocol/limits'
import type { DataDirectory } from '../data/data-directory.ts'

/** A Unix socket rather than a port with a token: the directory's modes say who may, and nothing secret is typed. */
const NAME = 'control.sock'
const SHORT_PREFIX = 'sealmesh-relay-'

/** Where a relay listens for its owner. Systems cut longer paths without a word, so a deep directory gets a short one. */
export async function claimSocketPath(data: DataDirectory): Promise<string> {
  // A pipe has no modes of its own; there the account that runs the relay is what counts.
  if (process.platform === 'win32') return `\\\\.\\pipe\\sealmesh-relay-${hashOf(data)}`
  const usual = join(data.path, NAME)
  if (fits(usual)) {
    // Left by a crash: whoever holds the database owns the directory.
    await rm(usual, { force: true })
    return usual
  }
  // `mkdtemp` makes it 0700.
  for (const base of [tmpdir(), '/tmp'])
    if (fits(join(base, `${SHORT_PREFIX}XXXXXX`, NAME))) return join(await mkdtemp(join(base, SHORT_PREFIX)), NAME)
  throw new Failure('SOCKET_PATH_TOO_LONG', `The path of the data directory is too long for a socket: ${data.path}.`, {
    next: 'use a shorter one: --data DIR',
  })
}

export async function releaseSocketPath(data: DataDirectory, path: string): Promise<void> {
  if (process.platform === 'win32') return
  await rm(path, { force: true })
  if (dirname(path) !== data.path) await rm(dirname(path), { recursive: true, force: true })
}

const hashOf = ({ path }: DataDirectory): string => createHash('sha256').update(path).digest('hex').slice(0, 16)
const fits = (path: string): boolean => Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX
