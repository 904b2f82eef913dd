import { lstat, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { diskFailure } from './disk-failure.ts'
import { makePrivateDirectory } from './durable-file.ts'
import { refuseOtherOwner, refuseWideModes } from './modes.ts'

/**
 * Where one node keeps everything that it has:
 *
 *     keys/              private halves; `KeyStore` makes it, whole or not at all
 *     db/                LevelDB: blocks, records, receipts, outbox
 *     diary/             LevelDB of its own: diary content, which has no path outward
 *     drills/            reports of drills, and for as long as one lasts its sandbox
 *     run/               what lives as long as a process: socket, socket-path, lock/, node.pid, node.log
 *     logs/              what agents say to each other, without what it says: `agents/message-logs.ts`
 *     way-back           the relay's address, once more: `uplink/way-back.ts`
 *     config.toml        optional
 */
export interface Home {
  readonly path: string
  readonly keys: string
  readonly db: string
  readonly diary: string
  readonly drills: string
  readonly run: string
  readonly wayBack: string
  readonly config: string
  /** What the node logs, and the output of `up --detach`. */
  readonly log: string
  /** Held by the process that uses this home: `lockHome`. */
  readonly lock: string
  /** Names that process to people; proves nothing. */
  readonly pid: string
  /** Where the socket is when its usual path would be too long: `claimSocketPath`, `findSocket`. */
  readonly socketPointer: string
}

/** `--home DIR`, else SEALMESH_HOME, else ~/.sealmesh. Looks at no disk. */
export function resolveHome(flag: string | undefined, env: NodeJS.ProcessEnv): Home {
  const chosen = flag ?? env['SEALMESH_HOME']
  if (chosen === '') throw new Failure('HOME_UNUSABLE', 'The home is named by an empty word.')
  if (chosen === undefined && homedir() === '')
    throw new Failure('HOME_UNUSABLE', 'Neither --home nor SEALMESH_HOME is given, and this user has no home folder.')
  const path = resolve(chosen ?? join(homedir(), '.sealmesh'))
  const run = join(path, 'run')
  return {
    path,
    keys: join(path, 'keys'),
    db: join(path, 'db'),
    diary: join(path, 'diary'),
    drills: join(path, 'drills'),
    run,
    wayBack: join(path, 'way-back'),
    config: join(path, 'config.toml'),
    log: join(run, 'node.log'),
    lock: join(run, 'lock'),
    pid: join(run, 'node.pid'),
    socketPointer: join(run, 'socket-path'),
  }
}

/**
 * Makes the folders that are missing and refuses those that others could read or swap. The home itself may be
 * readable, since people make it with plain `mkdir`; what lies in it may not.
 */
export async function prepareHome(home: Home): Promise<void> {
  try {
    await makePrivateDirectory(home.path)
    // The home may be a link to a bigger disk; its own folders may not.
    const stats = await stat(home.path)
    refuseOtherOwner(home.path, stats)
    refuseWideModes(home.path, stats, 'reading')
    for (const directory of [home.db, home.diary, home.drills, home.run]) {
      await makePrivateDirectory(directory)
      const inside = await lstat(directory)
      if (!inside.isDirectory()) throw new Failure('HOME_UNUSABLE', `${directory} is not a folder.`)
      refuseOtherOwner(directory, inside)
      refuseWideModes(directory, inside)
    }
  } catch (error) {
    throw diskFailure(error, `preparing the home ${home.path}`)
  }
}
