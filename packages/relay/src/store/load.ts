import { toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { MailboxId, MeshId, RelayId } from '@sealmesh/protocol/ids'
import type { RelayLimits } from '../core/limits.ts'
import { newMailbox } from '../core/mailbox.ts'
import { newRelay } from '../core/relay.ts'
import type { RelayState } from '../core/state.ts'
import { COUNTER_KEY, idOf, sequenceOf, under } from './keys.ts'
import { recordFromJson } from './login-record.ts'
import type { Store } from './store.ts'

/** The core's state as the database has it. Packets stay on disk; only their index is read. */
export async function loadRelay(
  store: Store,
  relay: RelayId,
  generation: Uint8Array,
  limits: RelayLimits,
  admitted: readonly MeshId[],
): Promise<RelayState> {
  const { db } = store
  const counter = await db.get(COUNTER_KEY)
  const state = newRelay(relay, generation, counter === undefined ? 0 : Number(counter.readBigUInt64BE()), limits)
  for await (const key of db.keys(under('k'))) state.spentClaims.add(key.subarray(1).toString())
  const meshes = new Set(admitted)
  for await (const key of db.keys(under('m'))) meshes.add(idOf(key) as MeshId)
  for (const mesh of meshes) state.meshes.set(mesh, { revokedLogins: new Set(), revokedAdmins: new Set(), logins: 0 })
  for await (const key of db.keys(under('r'))) {
    const mesh = state.meshes.get(idOf(key) as MeshId)
    const revoked = key[33] === 0 ? mesh?.revokedLogins : mesh?.revokedAdmins
    revoked?.add(toHex(key.subarray(34)))
  }
  for await (const [key, value] of db.iterator(under('l'))) {
    const record = recordFromJson(value.toString())
    const mesh = record === undefined ? undefined : state.meshes.get(record.mesh)
    if (record === undefined || mesh === undefined)
      throw new Failure('STORE_DAMAGED', 'A login in the relay’s database cannot be read.', {
        next: 'move the db folder of the data directory away: nodes send again what was waiting in it',
      })
    mesh.logins += 1
    state.mailboxes.set(idOf(key) as MailboxId, newMailbox(idOf(key) as MailboxId, record))
  }
  for await (const [key, value] of db.iterator(under('x'))) {
    const mailbox = state.mailboxes.get(idOf(key) as MailboxId)
    if (mailbox !== undefined) mailbox.lost = Number(value.readBigUInt64BE())
  }
  for await (const [key, value] of db.iterator(under('i'))) {
    const mailbox = state.mailboxes.get(idOf(key) as MailboxId)
    if (mailbox === undefined) continue
    const sequence = sequenceOf(key)
    const expiresMs = Number(value.readBigUInt64BE())
    const bytes = value.readUInt32BE(8)
    mailbox.entries.push({ sequence, bytes, expiresMs, packet: null, durable: true })
    mailbox.next = sequence + 1
    mailbox.bytes += bytes
    mailbox.packets += 1
    mailbox.expiresMs = Math.min(mailbox.expiresMs, expiresMs)
  }
  return state
}
