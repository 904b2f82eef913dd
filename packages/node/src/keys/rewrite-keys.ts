import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { destroyFile, finishDestroying, isHalfDestroyed } from './durable-file.ts'
import { type FileSeal, formOf, isSealedUnder, readSeed, rewriteSeed, type SeedRole } from './key-file.ts'
import { LOCK_FILE } from './key-lock.ts'

/** What a folder of keys holds: whose name begins so is of that role, and all else by what its line says. */
export interface KeyFolder {
  readonly path: string
  readonly roles: readonly (readonly [prefix: string, role: SeedRole])[]
  /** A key that is lost there is made anew, and its remains are worth nothing. */
  readonly replaced?: boolean
}

interface Found {
  readonly path: string
  readonly role: SeedRole | undefined
  readonly derive: (seed: Uint8Array) => { publicKey: Uint8Array }
  /** Neither sealed nor something else than a key. */
  readonly inClear: boolean
  /** Remains worth nothing. A key whose line is garbled is first set aside by `load`, which tells of it. */
  readonly isWaste: boolean
}

type Sealing = FileSeal & { readonly random: (bytes: number) => Uint8Array }

/**
 * Every key file that is not yet in the form that is wanted, one after another, those set aside as damaged included.
 * What a crash left half written or half destroyed is destroyed.
 */
export async function rewriteKeys(
  folders: readonly KeyFolder[],
  from: Sealing,
  to: Sealing | undefined,
): Promise<void> {
  const { sodium } = from
  for (const { path } of folders)
    for (const name of await filesIn(path))
      if (isHalfDestroyed(name)) await finishDestroying(join(path, name))
      else if (name.endsWith('.new')) await destroyFile(join(path, name))
  for (const { path, role, derive, inClear, isWaste } of await findKeys(folders, sodium)) {
    if (role === undefined) continue
    try {
      const isChanging = to !== undefined && from.former !== undefined
      const isWanted = inClear === (to === undefined) && (!isChanging || (await isSealedUnder(path, role, derive, to)))
      if (!isWanted) await rewriteSeed(path, role, derive, from, to)
    } catch (error) {
      if (!isDamage(error)) throw error
      if (inClear && isWaste && to !== undefined) await destroyFile(path)
    }
  }
}

/** Throws KEY_DAMAGED with the names of all that would stay in clear: nothing is said to be sealed that is not. */
export async function refuseUnsealable(folders: readonly KeyFolder[], from: FileSeal): Promise<void> {
  const left: string[] = []
  for (const { path, role, derive, inClear, isWaste } of await findKeys(folders, from.sodium)) {
    if (!inClear || isWaste) continue
    try {
      if (role === undefined) left.push(path)
      else await readSeed(path, role, derive, from)
    } catch (error) {
      if (!isDamage(error)) throw error
      left.push(path)
    }
  }
  if (left.length === 0) return
  throw new Failure('KEY_DAMAGED', `There are damaged keys in clear, which cannot be sealed: ${left.join(', ')}.`, {
    next: 'move them to where nobody else reads them, or delete them; then try again: nothing was sealed',
  })
}

async function findKeys(folders: readonly KeyFolder[], sodium: Sodium): Promise<Found[]> {
  const found: Found[] = []
  for (const { path: folder, roles, replaced = false } of folders)
    for (const name of await filesIn(folder)) {
      if (name === LOCK_FILE || name.endsWith('.new') || isHalfDestroyed(name)) continue
      const path = join(folder, name)
      const { form, role: said } = await formOf(path)
      const role = roles.find(([prefix]) => name.startsWith(prefix))?.[1] ?? said
      // A line whose beginning is garbled may have its seed whole.
      const inClear = form === 'clear' || (form === 'unknown' && name.includes('.key'))
      if (!inClear && form === 'unknown') continue
      const derive = (seed: Uint8Array) =>
        role === 'seal' ? sodium.sealKeys(seed) : sodium.signKeys(role ?? 'agent', seed)
      found.push({ path, role, derive, inClear, isWaste: replaced && (form === 'clear' || !name.endsWith('.key')) })
    }
  return found
}

const filesIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isFile()).map(({ name }) => name)

const isDamage = (error: unknown): boolean => error instanceof Failure && error.code === 'KEY_DAMAGED'
