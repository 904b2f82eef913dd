import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import type { MethodResult, Status } from '@sealmesh/protocol/ipc/methods'
import { type VaultListing, vaultOf } from '@sealmesh/protocol/wire/vault'
import { errnoOf } from '../keys/disk-failure.ts'
import type { Handlers } from '../ipc/door.ts'
import { openSnapshot } from '../snapshots/restore-snapshot.ts'
import type { Snapshots } from '../snapshots/snapshots.ts'
import { iso, nodeName } from './context.ts'
import type { NodeServices } from './handlers.ts'

type Services = Pick<NodeServices, 'snapshots' | 'relays' | 'keys' | 'log' | 'sodium' | 'now'>

export function snapshotHandlers(
  services: Services,
): Pick<Handlers, 'snapshot.start' | 'snapshot.status' | 'snapshot.ls'> {
  const { snapshots, now } = services
  return {
    'snapshot.start': ({ path, vault, withDiary }) => {
      if (vault && path !== null) throw new Failure('USAGE', 'A snapshot goes to a file or to the vault.')
      snapshots.start({ path: vault ? null : (path ?? snapshots.pathAt(now())), withDiary })
      return stateOf(snapshots)
    },
    'snapshot.status': () => stateOf(snapshots),
    'snapshot.ls': async () => ({
      directory: snapshots.directory,
      files: await filesOf(services),
      ...(await vaultsOf(services)),
    }),
  }
}

function stateOf({ state: { running, made, failure, last } }: Snapshots): MethodResult<'snapshot.status'> {
  return {
    running,
    made:
      made === null
        ? null
        : {
            path: made.path,
            entries: made.entries,
            bytes: made.bytes,
            chunks: made.chunks,
            sentChunks: made.fresh.chunks,
            sentBytes: made.fresh.bytes,
            damaged: made.damaged,
          },
    failure: failure === null ? null : { code: failure.code, message: failure.message, next: failure.next },
    vault: last.vault === null ? null : { at: iso(last.vault.atMs), bytes: last.vault.bytes },
    file: last.file === null ? null : { at: iso(last.file.atMs), bytes: last.file.bytes },
  }
}

/** For `status`: when something was last left where it outlives this machine. */
export const snapshotStatus = ({ state: { last } }: Pick<Snapshots, 'state'>): Status['snapshots'] => ({
  vaultAt: last.vault === null ? null : iso(last.vault.atMs),
  fileAt: last.file === null ? null : iso(last.file.atMs),
  failed: last.failed === null ? null : { at: iso(last.failed.atMs), code: last.failed.code },
})

async function filesOf({ snapshots, keys, sodium }: Services): Promise<MethodResult<'snapshot.ls'>['files']> {
  const names = await readdir(snapshots.directory).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  })
  const files: MethodResult<'snapshot.ls'>['files'] = []
  for (const name of names.filter((each) => each.endsWith('.snapshot')).toSorted()) {
    const path = join(snapshots.directory, name)
    const { size } = await lstat(path)
    try {
      const { snapshot, close } = await openSnapshot(path, { kit: undefined, keys }, sodium)
      files.push({
        path,
        bytes: size,
        at: iso(snapshot.root.atMs),
        diary: snapshot.part('diary') !== undefined,
        code: null,
      })
      await close()
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      files.push({ path, bytes: size, at: null, diary: false, code: error.code })
    }
  }
  return files
}

async function vaultsOf(services: Services): Promise<Pick<MethodResult<'snapshot.ls'>, 'vaults' | 'vaultFailure'>> {
  const { relays } = services
  try {
    const listing: readonly VaultListing[] = await (await relays.live()).vault({ type: 'vaultList' })
    return { vaults: listing.map((each) => namedVault(each, services)), vaultFailure: null }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { vaults: [], vaultFailure: error.code }
  }
}

/** A relay names vaults by what it knows of logins; the log says whose they are. */
function namedVault({ vault, snapshots }: VaultListing, { log, sodium }: Services) {
  const { mesh } = log
  const owner = [...mesh.nodes.values()].find(({ loginKey }) => vaultOf(loginKey, sodium) === vault)
  return {
    node: owner === undefined ? null : nodeName(mesh, owner.id),
    snapshots: snapshots.map(({ number, atMs, chunks, bytes }) => ({ number, at: iso(atMs), chunks, bytes })),
  }
}
