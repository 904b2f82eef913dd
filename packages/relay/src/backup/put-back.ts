import { existsSync } from 'node:fs'
import { copyFile, cp, readdir, rename, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import {
  type DataDirectory,
  dataDirectory,
  errnoOf,
  prepareDataDirectory,
  syncDirectory,
} from '../data/data-directory.ts'
import { giveToOwnerOf } from '../data/ownership.ts'
import { GENERATION_KEY } from '../store/keys.ts'
import { rowsOf, streamOf } from '../store/rows.ts'
import { loadManifest, type Manifest } from './manifest.ts'
import { openDatabase, writeRows } from './write-rows.ts'

const GENERATION_BYTES = 16

/**
 * Puts a backup where there is no relay yet. The database names a new generation: what came after the backup is
 * forgotten, so every node must look again at what the relay called stored (spec 07 §3).
 */
export async function putBack(
  data: DataDirectory,
  folder: string,
  random: (bytes: number) => Uint8Array,
): Promise<{ manifest: Manifest; hasKey: boolean }> {
  const from = dataDirectory(resolve(folder), {})
  const manifest = await loadManifest(from.path)
  if (existsSync(data.database) || (manifest.withKey && existsSync(data.key)))
    throw new Failure('FILE_EXISTS', `There is a relay in ${data.path} already.`, {
      next: 'name an empty directory: --data DIR, or move that one away',
    })
  try {
    await prepareDataDirectory(data)
    await restoreDatabase(from, data, manifest, random)
    await cp(from.meshes, data.meshes, { recursive: true })
    const copied = [from.config, ...(manifest.withKey ? [from.tlsCertificate, from.tlsKey, from.key] : [])]
    for (const path of copied) await copyInto(path, path.replace(from.path, data.path))
    const all = await readdir(data.path)
    await giveToOwnerOf(data.path, ...all.map((name) => join(data.path, name)))
    await syncDirectory(data.path)
    return { manifest, hasKey: existsSync(data.key) }
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure('HOME_UNUSABLE', `${data.path} cannot be written (${errnoOf(error) ?? 'unknown error'}).`, {
      cause: error,
      next: 'run it as the relay’s user or as root, or name another: --data DIR',
    })
  }
}

async function restoreDatabase(
  from: DataDirectory,
  to: DataDirectory,
  manifest: Manifest,
  random: (bytes: number) => Uint8Array,
): Promise<void> {
  const partial = `${to.database}.partial`
  await rm(partial, { recursive: true, force: true })
  const source = await openDatabase(from.database, false)
  try {
    const generation = Buffer.from(random(GENERATION_BYTES))
    const { rows, sha256 } = await writeRows(partial, rowsOf(streamOf(source)), [[GENERATION_KEY, generation]])
    if (rows !== manifest.rows || sha256 !== manifest.sha256)
      throw new Failure('STORE_DAMAGED', 'The backup is damaged: it does not match what it says of itself.', {
        next: 'use an older one; without any, a new relay is refilled by its nodes',
      })
    await rename(partial, to.database)
  } catch (error) {
    await rm(partial, { recursive: true, force: true })
    throw error
  } finally {
    await source.close()
  }
}

/** What its owner has put there already stays. */
async function copyInto(from: string, to: string): Promise<void> {
  if (existsSync(from) && !existsSync(to)) await copyFile(from, to)
}
