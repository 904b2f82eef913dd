import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isHex } from '@sealmesh/protocol/bytes'
import type { MeshId } from '@sealmesh/protocol/ids'
import type { DataDirectory } from './data-directory.ts'

/**
 * The meshes that its owner has let in, one empty file each, beside the database: a relay that lost that one takes its
 * nodes again without another claim, and they bring what it had forgotten.
 */
export const admittedMeshes = (data: DataDirectory): MeshId[] =>
  readdirSync(data.meshes).filter((name): name is MeshId => isHex(name, 32))

export function noteAdmitted(data: DataDirectory, mesh: MeshId): void {
  mkdirSync(data.meshes, { recursive: true, mode: 0o700 })
  writeFileSync(join(data.meshes, mesh), '', { mode: 0o600 })
}

export const noteExpelled = (data: DataDirectory, mesh: MeshId): void =>
  rmSync(join(data.meshes, mesh), { force: true })
