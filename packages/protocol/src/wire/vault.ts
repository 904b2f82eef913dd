import {
  Malformed,
  type Reader,
  readByte,
  readBytes,
  readId,
  readList,
  readUint,
  toHex,
  type Writer,
  writeByte,
  writeBytes,
  writeId,
  writeList,
  writeUint,
} from '../bytes.ts'
import type { ChunkId, VaultId } from '../ids.ts'
import { HASH_BYTES, type LoginPublicKey } from '../keys.ts'
import { FRAME_BYTES_MAX } from '../limits.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'

/**
 * The frames of a relay's vault, where nodes leave sealed snapshots (docs/spec/07-relay.md §7). Layouts as in `frame.ts`.
 */
const VAULT_NAMES = 0x40 // ← request uint | 1B, 1 begins another snapshot | list of 32B: chunks that belong to it
const VAULT_LACKS = 0x41 // → request uint | list of uint: places in that list of those that are not there
const VAULT_PUT = 0x42 // ← request uint | chunk 32B | bytes
const VAULT_KEEP = 0x43 // ← request uint | root 32B: the snapshot is whole, and begins at this chunk
const VAULT_LIST = 0x44 // ← request uint
const VAULTS = 0x45 // → request uint | list of: vault 32B, list of: number uint, at uint, chunks uint, bytes uint, root 32B
const VAULT_GET = 0x46 // ← request uint | vault 32B | chunk 32B
const VAULT_CHUNK = 0x47 // → request uint | 0 or 1 [bytes], 0 when it is not there

/** A frame, less its type, a request and an id. */
export const VAULT_CHUNK_BYTES_MAX = FRAME_BYTES_MAX - 1_024
/** Chunks that one question names: 32 KiB. */
export const VAULT_NAMES_MAX = 1_024
/** What a mesh has logins for (docs/spec/07-relay.md §5). */
export const VAULTS_MAX = 1_024
/** Snapshots of one node that a vault keeps: the newest, and two to fall back to. */
export const VAULT_SNAPSHOTS_MAX = 3

/** Under what a relay keeps the snapshots of a login: as it remembers the login itself. */
export const vaultOf = (key: LoginPublicKey, sodium: Sodium): VaultId =>
  toHex(sodium.hash([TAGS.relayKeyName, key])) as VaultId

/** One that is whole. All that a relay knows of it. */
export interface VaultSnapshot {
  /** Grows with each that this node leaves. */
  readonly number: number
  /** By the relay's clock. */
  readonly atMs: number
  readonly chunks: number
  readonly bytes: number
  /** Where to begin. */
  readonly root: ChunkId
}

export interface VaultListing {
  readonly vault: VaultId
  /** Oldest first. */
  readonly snapshots: readonly VaultSnapshot[]
}

export type VaultFrame =
  | {
      readonly type: 'vaultNames'
      readonly request: number
      readonly begin: boolean
      readonly chunks: readonly ChunkId[]
    }
  | { readonly type: 'vaultLacks'; readonly request: number; readonly places: readonly number[] }
  | { readonly type: 'vaultPut'; readonly request: number; readonly chunk: ChunkId; readonly bytes: Uint8Array }
  | { readonly type: 'vaultKeep'; readonly request: number; readonly root: ChunkId }
  | { readonly type: 'vaultList'; readonly request: number }
  | { readonly type: 'vaults'; readonly request: number; readonly vaults: readonly VaultListing[] }
  | { readonly type: 'vaultGet'; readonly request: number; readonly vault: VaultId; readonly chunk: ChunkId }
  | { readonly type: 'vaultChunk'; readonly request: number; readonly bytes: Uint8Array | null }

export function writeVaultFrame(writer: Writer, frame: VaultFrame): void {
  switch (frame.type) {
    case 'vaultNames':
      writeByte(writer, VAULT_NAMES)
      writeUint(writer, frame.request)
      writeByte(writer, frame.begin ? 1 : 0)
      return writeList(writer, frame.chunks, (chunk) => writeId(writer, chunk))
    case 'vaultLacks':
      writeByte(writer, VAULT_LACKS)
      writeUint(writer, frame.request)
      return writeList(writer, frame.places, (place) => writeUint(writer, place))
    case 'vaultPut':
      writeByte(writer, VAULT_PUT)
      writeUint(writer, frame.request)
      writeId(writer, frame.chunk)
      return writeBytes(writer, frame.bytes)
    case 'vaultKeep':
      writeByte(writer, VAULT_KEEP)
      writeUint(writer, frame.request)
      return writeId(writer, frame.root)
    case 'vaultList':
      writeByte(writer, VAULT_LIST)
      return writeUint(writer, frame.request)
    case 'vaults':
      writeByte(writer, VAULTS)
      writeUint(writer, frame.request)
      return writeList(writer, frame.vaults, ({ vault, snapshots }) => {
        writeId(writer, vault)
        writeList(writer, snapshots, (snapshot) => writeSnapshot(writer, snapshot))
      })
    case 'vaultGet':
      writeByte(writer, VAULT_GET)
      writeUint(writer, frame.request)
      writeId(writer, frame.vault)
      return writeId(writer, frame.chunk)
    case 'vaultChunk':
      writeByte(writer, VAULT_CHUNK)
      writeUint(writer, frame.request)
      writeByte(writer, frame.bytes === null ? 0 : 1)
      if (frame.bytes !== null) writeBytes(writer, frame.bytes)
  }
}

/** What follows a type byte; throws `Malformed` also for a type of no frame at all. */
export function readVaultFrame(reader: Reader, type: number): VaultFrame {
  switch (type) {
    case VAULT_NAMES:
      return {
        type: 'vaultNames',
        request: readUint(reader),
        begin: readFlag(reader),
        chunks: readList(reader, VAULT_NAMES_MAX, readChunkId),
      }
    case VAULT_LACKS:
      return {
        type: 'vaultLacks',
        request: readUint(reader),
        places: readList(reader, VAULT_NAMES_MAX, (each) => readUint(each, VAULT_NAMES_MAX - 1)),
      }
    case VAULT_PUT:
      return {
        type: 'vaultPut',
        request: readUint(reader),
        chunk: readChunkId(reader),
        bytes: readBytes(reader, VAULT_CHUNK_BYTES_MAX),
      }
    case VAULT_KEEP:
      return { type: 'vaultKeep', request: readUint(reader), root: readChunkId(reader) }
    case VAULT_LIST:
      return { type: 'vaultList', request: readUint(reader) }
    case VAULTS:
      return {
        type: 'vaults',
        request: readUint(reader),
        vaults: readList(reader, VAULTS_MAX, (each) => ({
          vault: readId<VaultId>(each, HASH_BYTES),
          snapshots: readList(each, VAULT_SNAPSHOTS_MAX, readSnapshot),
        })),
      }
    case VAULT_GET:
      return {
        type: 'vaultGet',
        request: readUint(reader),
        vault: readId<VaultId>(reader, HASH_BYTES),
        chunk: readChunkId(reader),
      }
    case VAULT_CHUNK:
      return {
        type: 'vaultChunk',
        request: readUint(reader),
        bytes: readFlag(reader) ? readBytes(reader, VAULT_CHUNK_BYTES_MAX) : null,
      }
    default:
      throw new Malformed()
  }
}

function writeSnapshot(writer: Writer, snapshot: VaultSnapshot): void {
  writeUint(writer, snapshot.number)
  writeUint(writer, snapshot.atMs)
  writeUint(writer, snapshot.chunks)
  writeUint(writer, snapshot.bytes)
  writeId(writer, snapshot.root)
}

const readSnapshot = (reader: Reader): VaultSnapshot => ({
  number: readUint(reader),
  atMs: readUint(reader),
  chunks: readUint(reader),
  bytes: readUint(reader),
  root: readChunkId(reader),
})

const readChunkId = (reader: Reader): ChunkId => readId<ChunkId>(reader, HASH_BYTES)

function readFlag(reader: Reader): boolean {
  const flag = readByte(reader)
  if (flag > 1) throw new Malformed()
  return flag === 1
}
