import { createHash } from 'node:crypto'
import { lstat, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'

export interface Place {
  /** The socket itself: all that an agent in a container has. */
  readonly socketPath?: string
  /** The home of the node; else SEALMESH_HOME, else ~/.sealmesh. */
  readonly home?: string
}

/** Where the agents' door of a node is (docs/spec/16-agents.md §1). Throws NODE_NOT_RUNNING. */
export async function findAgentsSocket(place: Place, env: NodeJS.ProcessEnv): Promise<string> {
  const given = place.socketPath ?? (place.home === undefined ? env['SEALMESH_AGENTS_SOCKET'] : undefined)
  if (given !== undefined && given !== '') return given
  const home = resolve(place.home ?? env['SEALMESH_HOME'] ?? join(homedir(), '.sealmesh'))
  if (process.platform === 'win32') {
    const hash = createHash('sha256').update(home).digest('hex').slice(0, 16)
    return `\\\\.\\pipe\\sealmesh-${hash}-agents`
  }
  let pointed: string
  try {
    pointed = (await readFile(join(home, 'run', 'agents-socket-path'), 'utf8')).trim()
  } catch {
    return join(home, 'run', 'agents', 'sealmesh-agents.sock')
  }
  // The temporary folder is everybody's: somebody else could sit at this path, and would be shown a token.
  if (!(await isOurs(dirname(pointed)))) throw new Failure('NODE_NOT_RUNNING', `No node runs on the home ${home}.`)
  return pointed
}

async function isOurs(directory: string): Promise<boolean> {
  try {
    const { uid, mode } = await lstat(directory)
    return uid === process.getuid?.() && (mode & 0o077) === 0
  } catch {
    return false
  }
}
