import { toHex, utf8 } from '@sealmesh/protocol/bytes'
import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import type { ChunkId, MailboxId, MeshId, SlotId, VaultId } from '@sealmesh/protocol/ids'
import { PACKET_EXPIRY_MS_MAX } from '@sealmesh/protocol/limits'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { VaultSnapshot } from '@sealmesh/protocol/wire/vault'
import type { Operation } from '../core/event.ts'
import type { KeyName } from '../core/key-name.ts'
import { foundPacket } from '../core/mailbox.ts'
import { mailboxIn } from '../core/mailboxes.ts'
import { foundSlot } from '../core/slots.ts'
import { REPEAT_MS, repeatName } from '../core/repeats.ts'
import { type Login, loginOf, type MeshState, newMesh } from '../core/state.ts'
import { foundChunk, foundSnapshot } from '../core/vault-found.ts'
import { chunkIndexValue, MESH_BARRED, snapshotValue, uint64 } from '../store/keys.ts'
import { recordFromJson, recordToJson } from '../store/login-record.ts'
import type { LogEntry, LogMessage } from './log.ts'
import { admittedSubject, meshPrefix, packetSubject } from './subjects.ts'

/** Between the core's operations and what lies under a mesh's prefix (`subjects.ts`). */

const EMPTY = new Uint8Array()

/** Operations that are one row each. Chunks of snapshots and dropped packets are more than that. */
export type RowOperation = Exclude<
  Operation,
  { type: 'packet' | 'dropPacket' | 'vaultChunk' | 'dropVaultChunks' | 'vaultSnapshot' | 'claimSpent' }
>

export function rowOf(mesh: MeshId, operation: RowOperation): LogMessage {
  const prefix = meshPrefix(mesh)
  const row = (rest: string, payload: Uint8Array): LogMessage => ({
    subject: `${prefix}.${rest}`,
    payload,
    kind: 'row',
  })
  const gone = (rest: string): LogMessage => ({ subject: `${prefix}.${rest}`, payload: EMPTY, kind: 'gone' })
  switch (operation.type) {
    case 'mesh':
      return { subject: admittedSubject(mesh), payload: operation.barred ? MESH_BARRED : EMPTY, kind: 'row' }
    case 'counter':
      return row('c', uint64(operation.counter))
    case 'login':
      return row(`l.${operation.login}`, utf8(recordToJson(operation.record)))
    case 'dropLogin':
      return gone(`l.${operation.login}`)
    case 'revoked':
      return row(`r.${operation.role === 'login' ? 0 : 1}.${operation.key}`, EMPTY)
    case 'lost': {
      const { mailbox, count, atMs } = operation
      return count === 0
        ? gone(`x.${mailbox}`)
        : row(`x.${mailbox}`, Buffer.concat([uint64(count), uint64(Math.floor(atMs))]))
    }
    case 'slot':
      return row(`s.${operation.slot}`, Buffer.concat([uint64(operation.counter), operation.blob]))
    case 'dropVaultSnapshot':
      return gone(`n.${operation.vault}.${operation.number}`)
  }
}

export const packetOf = (operation: Extract<Operation, { type: 'packet' }>): LogMessage => ({
  subject: packetSubject(operation.mesh, operation.mailbox),
  payload: operation.packet,
  kind: 'packet',
  sequence: operation.sequence,
})

export const snapshotOf = (mesh: MeshId, vault: VaultId, snapshot: VaultSnapshot): LogMessage => ({
  subject: `${meshPrefix(mesh)}.n.${vault}.${snapshot.number}`,
  payload: snapshotValue(snapshot),
  kind: 'row',
})

export const chunkRowOf = (
  mesh: MeshId,
  vault: VaultId,
  chunk: ChunkId,
  value: { kept: number; bytes: number; place: number } | null,
): LogMessage => ({
  subject: `${meshPrefix(mesh)}.a.${vault}.${chunk}`,
  payload: value === null ? EMPTY : Buffer.concat([chunkIndexValue(value.kept, value.bytes), uint64(value.place)]),
  kind: value === null ? 'gone' : 'row',
})

/** Where a packet lies. */
export interface Place {
  readonly sequence: number
  readonly place: number
}

/** What a mesh's rows say, as the core wants it, and where its packets and chunks lie. */
export interface LoadedMesh {
  readonly mesh: MeshState
  readonly isAdmitted: boolean
  readonly logins: readonly Login[]
  readonly counter: number
  /** By mailbox, in the order of their sequences. */
  readonly packets: ReadonlyMap<MailboxId, readonly Place[]>
  /** By vault and chunk: the place of its bytes. */
  readonly chunks: ReadonlyMap<string, number>
  /** Packets that were stored lately, oldest first. */
  readonly repeats: readonly { readonly name: string; readonly at: number; readonly storedMs: number }[]
}

/** Takes the rows of one mesh in their order. What it cannot read it leaves out. */
export class MeshReader {
  readonly #id: MeshId
  readonly #prefix: string
  readonly #rows = new Map<string, Uint8Array>()
  readonly #packets = new Map<MailboxId, FoundPacket[]>()
  readonly #mesh: MeshState
  readonly #sodium: Sodium
  readonly #recentMs: number
  readonly #repeats: { name: string; at: number; storedMs: number }[] = []

  constructor(id: MeshId, sodium: Sodium, nowMs: number) {
    this.#id = id
    this.#sodium = sodium
    this.#recentMs = nowMs - REPEAT_MS
    this.#prefix = `${meshPrefix(id)}.`
    this.#mesh = newMesh(id)
  }

  take({ subject, place, sequence, atMs, payload, isGone }: LogEntry): void {
    if (!subject.startsWith(this.#prefix)) return
    const name = subject.slice(this.#prefix.length)
    if (!name.startsWith('p.')) {
      if (isGone) this.#rows.delete(name)
      // A copy: what came may share its memory with much else.
      else this.#rows.set(name, Uint8Array.from(payload))
      return
    }
    const mailbox = name.slice(2) as MailboxId
    const header = readPacketHeader(payload)
    if (!header.ok) return
    const expiresMs = Math.min(header.value.expiresMs, atMs + PACKET_EXPIRY_MS_MAX)
    const found = { sequence, place, expiresMs, bytes: payload.length }
    const packets = this.#packets.get(mailbox)
    if (packets === undefined) this.#packets.set(mailbox, [found])
    else packets.push(found)
    if (atMs <= this.#recentMs) return
    const at = header.value.recipients.findIndex((recipient) => recipient.mailbox === mailbox)
    this.#repeats.push({ name: repeatName(this.#id, payload, this.#sodium), at, storedMs: atMs })
  }

  /** After the last. */
  end(): LoadedMesh {
    const mesh = this.#mesh
    const logins: Login[] = []
    const chunks = new Map<string, number>()
    let counter = 0
    const snapshots: [VaultId, VaultSnapshot][] = []
    for (const [name, payload] of this.#rows) {
      const value = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
      const [letter, first = '', second = ''] = name.split('.')
      if (letter === 'c' && value.length === 8) counter = Number(value.readBigUInt64BE())
      else if (letter === 'm') mesh.barred = value.equals(MESH_BARRED)
      else if (letter === 'l') {
        const record = recordFromJson(value.toString())
        if (record?.mesh === this.#id) logins.push(loginOf(first as KeyName, mesh, record, true))
      } else if (letter === 'r') (first === '0' ? mesh.revokedLogins : mesh.revokedAdmins).add(second as KeyName)
      else if (letter === 'x' && value.length === 16) {
        const mailbox = mailboxIn(mesh, first as MailboxId)
        mailbox.lost = Number(value.readBigUInt64BE())
        mailbox.lostMs = Number(value.readBigUInt64BE(8))
      } else if (letter === 's' && value.length > 8) {
        const slot = foundSlot(first as SlotId, Number(value.readBigUInt64BE()), value.subarray(8), this.#sodium)
        mesh.slots.set(slot.id, slot)
      } else if (letter === 'n' && value.length === 52) {
        const number = Number(second)
        const [atMs, bytes] = [Number(value.readBigUInt64BE()), Number(value.readBigUInt64BE(12))]
        const root = toHex(value.subarray(20)) as ChunkId
        snapshots.push([first as VaultId, { number, atMs, chunks: value.readUInt32BE(8), bytes, root }])
      }
    }
    snapshots.sort(([, a], [, b]) => a.number - b.number)
    for (const [vault, snapshot] of snapshots) foundSnapshot(mesh, vault, snapshot)
    for (const [name, payload] of this.#rows) {
      if (!name.startsWith('a.') || payload.length !== 20) continue
      const value = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
      const [, vault = '', chunk = ''] = name.split('.')
      const kept = Number(value.readBigUInt64BE())
      // A snapshot of many batches counts from its last. Until then its chunks may be those of the one before as well.
      const newest = mesh.vaults.get(vault as VaultId)?.snapshots.at(-1)?.number ?? 0
      foundChunk(mesh, vault as VaultId, chunk as ChunkId, {
        kept: Math.min(kept, newest),
        bytes: value.readUInt32BE(8),
      })
      chunks.set(`${vault}.${chunk}`, Number(value.readBigUInt64BE(12)))
    }
    mesh.logins = logins.length
    return {
      mesh,
      isAdmitted: this.#rows.has('m'),
      logins,
      counter,
      packets: this.#placed(),
      chunks,
      repeats: this.#repeats,
    }
  }

  /** What a reader had in hand and left is durable later than what came after it, and comes before it all the same. */
  #placed(): Map<MailboxId, Place[]> {
    const placed = new Map<MailboxId, Place[]>()
    for (const [id, found] of this.#packets) {
      const mailbox = mailboxIn(this.#mesh, id)
      const places: Place[] = []
      let last = 0
      for (const packet of found.sort((a, b) => a.sequence - b.sequence || a.place - b.place)) {
        // What was acknowledged and is there again may have the number of one that came later.
        last = Math.max(packet.sequence, last + 1)
        foundPacket(mailbox, last, packet.expiresMs, packet.bytes)
        places.push({ sequence: last, place: packet.place })
      }
      placed.set(id, places)
    }
    return placed
  }
}

interface FoundPacket extends Place {
  readonly expiresMs: number
  readonly bytes: number
}
