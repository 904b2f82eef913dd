import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import type { ChunkId, MailboxId, MeshId, SlotId, VaultId } from '@sealmesh/protocol/ids'
import type { VaultSnapshot } from '@sealmesh/protocol/wire/vault'
import type { KeyName } from '../core/key-name.ts'

/**
 * Where everything lies in the database. One letter, then what it is about; packets of one mailbox lie together, in
 * order. The index says of each packet what a start needs to know, so that it reads none of them.
 *
 *   v                             format version, text
 *   g                             generation, 16B
 *   c                             counter of sessions, 8B big-endian
 *   k claim id                    a claim code that was used
 *   m mesh                        a mesh that was admitted; a byte 1 if it is not any more
 *   r mesh role key name          a removed key: role 0 login, 1 admin
 *   l key name                    login record, JSON
 *   x mesh mailbox                packets lost, 8B big-endian, and when the first of them was, 8B
 *   i mesh mailbox sequence 8B    expiry 8B, length 4B
 *   p mesh mailbox sequence 8B    packet
 *   a mesh vault chunk            the newest snapshot that it belongs to, 8B big-endian, and its length, 4B
 *   b mesh vault chunk            a piece of a snapshot
 *   n mesh vault number 8B        a whole one: when, 8B, how many chunks, 4B, bytes, 8B, and its first chunk, 32B
 *   s mesh slot                   how often it was set, 8B big-endian, and its blob
 *
 * No row is about a login and a mailbox, or about two mailboxes (`state.ts`, invariant 5). Mailboxes lie under their
 * mesh, so that none can stand in the way of another mesh's.
 */
export const STORE_FORMAT = '2'

export const VERSION_KEY = Buffer.from('v')
export const GENERATION_KEY = Buffer.from('g')
export const COUNTER_KEY = Buffer.from('c')

export const claimKey = (claim: string): Buffer => Buffer.from(`k${claim}`)
export const MESH_BARRED = Buffer.of(1)
export const meshKey = (mesh: MeshId): Buffer => prefixed('m', mesh)
export const loginKey = (login: KeyName): Buffer => prefixed('l', login)
export const lostKey = (mesh: MeshId, mailbox: MailboxId): Buffer => prefixed('x', mesh + mailbox)
export const indexKey = (mesh: MeshId, mailbox: MailboxId, sequence: number): Buffer =>
  numbered('i', mesh, mailbox, sequence)
export const packetKey = (mesh: MeshId, mailbox: MailboxId, sequence: number): Buffer =>
  numbered('p', mesh, mailbox, sequence)
export const slotKey = (mesh: MeshId, slot: SlotId): Buffer => prefixed('s', mesh + slot)
export const chunkIndexKey = (mesh: MeshId, vault: VaultId, chunk: ChunkId): Buffer =>
  prefixed('a', mesh + vault + chunk)
export const chunkKey = (mesh: MeshId, vault: VaultId, chunk: ChunkId): Buffer => prefixed('b', mesh + vault + chunk)
export const snapshotKey = (mesh: MeshId, vault: VaultId, number: number): Buffer =>
  Buffer.concat([prefixed('n', mesh + vault), uint64(number)])
export const revokedKey = (mesh: MeshId, role: 'login' | 'admin', key: KeyName): Buffer =>
  Buffer.concat([prefixed('r', mesh), Buffer.of(role === 'login' ? 0 : 1), fromHex(key)])

/** All keys that begin with this letter. */
export const under = (letter: string): { gte: Buffer; lt: Buffer } => ({
  gte: Buffer.from(letter),
  lt: Buffer.from(String.fromCharCode(letter.charCodeAt(0) + 1)),
})

export const idOf = (key: Buffer): string => toHex(key.subarray(1, 33))
export const mailboxIdOf = (key: Buffer): MailboxId => toHex(key.subarray(33, 65)) as MailboxId
export const slotIdOf = (key: Buffer): SlotId => toHex(key.subarray(33, 65)) as SlotId
export const vaultIdOf = (key: Buffer): VaultId => toHex(key.subarray(33, 65)) as VaultId
export const chunkIdOf = (key: Buffer): ChunkId => toHex(key.subarray(65, 97)) as ChunkId
/** Of a packet, and of a snapshot. */
export const sequenceOf = (key: Buffer): number => Number(key.readBigUInt64BE(65))

export function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

export function indexValue(expiresMs: number, bytes: number): Buffer {
  const value = Buffer.alloc(12)
  value.writeBigUInt64BE(BigInt(expiresMs))
  value.writeUInt32BE(bytes, 8)
  return value
}

export function chunkIndexValue(kept: number, bytes: number): Buffer {
  const value = Buffer.alloc(12)
  value.writeBigUInt64BE(BigInt(kept))
  value.writeUInt32BE(bytes, 8)
  return value
}

export function snapshotValue({ atMs, chunks, bytes, root }: VaultSnapshot): Buffer {
  const value = Buffer.alloc(52)
  value.writeBigUInt64BE(BigInt(atMs))
  value.writeUInt32BE(chunks, 8)
  value.writeBigUInt64BE(BigInt(bytes), 12)
  value.set(fromHex(root), 20)
  return value
}

export const snapshotOf = (key: Buffer, value: Buffer): VaultSnapshot => ({
  number: sequenceOf(key),
  atMs: Number(value.readBigUInt64BE()),
  chunks: value.readUInt32BE(8),
  bytes: Number(value.readBigUInt64BE(12)),
  root: toHex(value.subarray(20)) as ChunkId,
})

const prefixed = (letter: string, id: string): Buffer => Buffer.concat([Buffer.from(letter), fromHex(id)])

function numbered(letter: string, mesh: MeshId, mailbox: MailboxId, sequence: number): Buffer {
  const key = Buffer.allocUnsafe(73)
  key[0] = letter.charCodeAt(0)
  key.set(placeOf(mesh, mailbox), 1)
  key.writeUInt32BE(Math.floor(sequence / 0x1_0000_0000), 65)
  key.writeUInt32BE(sequence >>> 0, 69)
  return key
}

/** The last one that was asked for: keys come in runs, and most of what one costs is 128 hex digits. */
const last = { mesh: '', mailbox: '', place: Buffer.alloc(64) }

function placeOf(mesh: MeshId, mailbox: MailboxId): Buffer {
  if (last.mesh === mesh && last.mailbox === mailbox) return last.place
  last.place.write(mesh, 0, 'hex')
  last.place.write(mailbox, 32, 'hex')
  last.mesh = mesh
  last.mailbox = mailbox
  return last.place
}
