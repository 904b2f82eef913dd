import { toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { MeshId, RelayId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { RelayLimits } from '../core/limits.ts'
import type { KeyName } from '../core/key-name.ts'
import { foundPacket } from '../core/mailbox.ts'
import { mailboxIn } from '../core/mailboxes.ts'
import { foundSlot } from '../core/slots.ts'
import { foundChunk, foundSnapshot } from '../core/vault-found.ts'
import { newRelay } from '../core/relay.ts'
import { loginOf, type Mailbox, newMesh, type RelayState } from '../core/state.ts'
import {
  chunkIdOf,
  COUNTER_KEY,
  idOf,
  MESH_BARRED,
  mailboxIdOf,
  sequenceOf,
  slotIdOf,
  snapshotOf,
  under,
  vaultIdOf,
} from './keys.ts'
import { recordFromJson } from './login-record.ts'
import type { Store } from './store.ts'

/** The core's state as the database has it. Packets stay on disk; only their index is read. */
export async function loadRelay(
  store: Store,
  relay: RelayId,
  generation: Uint8Array,
  limits: RelayLimits,
  admitted: readonly MeshId[],
  sodium: Sodium,
): Promise<RelayState> {
  const { db } = store
  const counter = await db.get(COUNTER_KEY)
  const state = newRelay(relay, generation, counter === undefined ? 0 : Number(counter.readBigUInt64BE()), limits)
  for await (const key of db.keys(under('k'))) state.spentClaims.add(key.subarray(1).toString())
  const meshes = new Set(admitted)
  const barred = new Set<MeshId>()
  for await (const [key, value] of db.iterator(under('m'))) {
    const mesh = idOf(key) as MeshId
    // Its owner's list comes first: one that is on it is let in.
    if (value.equals(MESH_BARRED) && !meshes.has(mesh)) barred.add(mesh)
    meshes.add(mesh)
  }
  for (const mesh of meshes) state.meshes.set(mesh, { ...newMesh(mesh), barred: barred.has(mesh) })
  for await (const key of db.keys(under('r'))) {
    const mesh = state.meshes.get(idOf(key) as MeshId)
    const revoked = key[33] === 0 ? mesh?.revokedLogins : mesh?.revokedAdmins
    revoked?.add(toHex(key.subarray(34)) as KeyName)
  }
  for await (const [key, value] of db.iterator(under('l'))) {
    const record = recordFromJson(value.toString())
    const mesh = record === undefined ? undefined : state.meshes.get(record.mesh)
    if (record === undefined || mesh === undefined)
      throw new Failure('STORE_DAMAGED', 'A login in the relay’s database cannot be read.', {
        next: 'move the db folder of the data directory away: nodes send again what was waiting in it',
      })
    const name = idOf(key) as KeyName
    mesh.logins += 1
    state.logins.set(name, loginOf(name, mesh, record, true))
  }
  for await (const [key, value] of db.iterator(under('x'))) {
    const mailbox = mailboxAt(state, key)
    if (mailbox === undefined) continue
    mailbox.lost = Number(value.readBigUInt64BE())
    mailbox.lostMs = Number(value.readBigUInt64BE(8))
  }
  for await (const [key, value] of db.iterator(under('i'))) {
    const mailbox = mailboxAt(state, key)
    if (mailbox !== undefined)
      foundPacket(mailbox, sequenceOf(key), Number(value.readBigUInt64BE()), value.readUInt32BE(8))
  }
  for await (const [key, value] of db.iterator(under('s'))) {
    const id = slotIdOf(key)
    const mesh = state.meshes.get(idOf(key) as MeshId)
    mesh?.slots.set(id, foundSlot(id, Number(value.readBigUInt64BE()), value.subarray(8), sodium))
  }
  for await (const [key, value] of db.iterator(under('n'))) {
    const mesh = state.meshes.get(idOf(key) as MeshId)
    if (mesh !== undefined) foundSnapshot(mesh, vaultIdOf(key), snapshotOf(key, value))
  }
  for await (const [key, value] of db.iterator(under('a'))) {
    const mesh = state.meshes.get(idOf(key) as MeshId)
    const chunk = { kept: Number(value.readBigUInt64BE()), bytes: value.readUInt32BE(8) }
    if (mesh !== undefined) foundChunk(mesh, vaultIdOf(key), chunkIdOf(key), chunk)
  }
  return state
}

/** One that holds something, as yet opened by nobody. */
function mailboxAt(state: RelayState, key: Buffer): Mailbox | undefined {
  const mesh = state.meshes.get(idOf(key) as MeshId)
  return mesh === undefined ? undefined : mailboxIn(mesh, mailboxIdOf(key))
}
