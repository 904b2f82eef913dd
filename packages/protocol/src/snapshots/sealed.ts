import {
  bytesLeft,
  concatBytes,
  decode,
  encode,
  fromHex,
  Malformed,
  readByte,
  readBytes,
  readFixed,
  readId,
  readList,
  readUint,
  toHex,
  writeByte,
  writeBytes,
  writeFixed,
  writeId,
  writeList,
  writeUint,
} from '../bytes.ts'
import type { ChunkId, IncarnationId, MeshId, NodeId } from '../ids.ts'
import {
  AEAD_TAG_BYTES,
  CONTENT_KEY_BYTES,
  type KeyPair,
  NONCE_BYTES,
  SEALED_BOX_EXTRA_BYTES,
  type SealPublicKey,
  type Secret,
  SEED_BYTES,
  SIGNATURE_BYTES,
  type Signature,
  type SignPublicKey,
} from '../keys.ts'
import { TIME_MS_MAX } from '../limits.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'
import { CHUNK_BYTES_MAX } from './image.ts'

/**
 * How a snapshot is sealed (docs/spec/11-recovery.md §7). One key for all snapshots of a node, so that equal chunks are
 * equal for it and for nobody else: derived from what only it has, and boxed in each root for the kit.
 */
export interface VaultKey {
  readonly bytes: Uint8Array
  readonly ids: Uint8Array
  readonly chunks: Uint8Array
  readonly roots: Uint8Array
}

const BOX_BYTES = CONTENT_KEY_BYTES + SEALED_BOX_EXTRA_BYTES
const FORMAT = 1
/** Ids of this many chunks are in one chunk of the index. */
export const IDS_PER_CHUNK = 2_048
/** A terabyte and more. */
const INDEX_CHUNKS_MAX = 4_096
const PARTS_MAX = 8

/** In the order in which they are read back: what judges the others first. */
export const PARTS = ['records', 'home', 'documents', 'diary'] as const
export type PartName = (typeof PARTS)[number]

export interface Part {
  readonly name: PartName
  readonly entries: number
  /** Before they are compressed. */
  readonly bytes: number
  readonly chunks: number
}

export interface Root {
  readonly mesh: MeshId
  readonly node: NodeId
  /** By the node's clock. */
  readonly atMs: number
  /** In which it was made: an image of this run or an earlier one holds nothing of a later. */
  readonly incarnation: IncarnationId
  readonly parts: readonly Part[]
  /** Chunks that hold the ids of all others, in the order of the parts. */
  readonly index: readonly ChunkId[]
}

export const vaultKeyFrom = (bytes: Uint8Array, sodium: Sodium): VaultKey => ({
  bytes,
  ids: sodium.hash([TAGS.snapshotId], CONTENT_KEY_BYTES, bytes),
  chunks: sodium.hash([TAGS.snapshotChunk], CONTENT_KEY_BYTES, bytes),
  roots: sodium.hash([TAGS.snapshotRoot], CONTENT_KEY_BYTES, bytes),
})

/** Of a node, as long as it has its signing key. */
export const vaultKeyOf = (sign: Secret<'sign'>, sodium: Sodium): VaultKey =>
  vaultKeyFrom(sodium.hash([TAGS.snapshotKey], CONTENT_KEY_BYTES, sign.expose().subarray(0, SEED_BYTES)), sodium)

/** Of what is in it, not compressed. */
export const chunkIdOf = (content: Uint8Array, key: VaultKey, sodium: Sodium): ChunkId =>
  toHex(sodium.hash([TAGS.snapshotId, content], CONTENT_KEY_BYTES, key.ids)) as ChunkId

/** nonce 24B | XChaCha20-Poly1305 of: 1B, 1 when deflated | content */
export function sealChunk(
  id: ChunkId,
  content: { readonly deflated: boolean; readonly bytes: Uint8Array },
  key: VaultKey,
  nonce: Uint8Array,
  sodium: Sodium,
): Uint8Array {
  const plain = concatBytes(Uint8Array.of(content.deflated ? 1 : 0), content.bytes)
  return concatBytes(nonce, sodium.encrypt(plain, boundTo(id), nonce, key.chunks))
}

/** Undefined for what was not sealed under this id. The caller inflates it and compares the content with the id. */
export function openChunk(
  id: ChunkId,
  sealed: Uint8Array,
  key: VaultKey,
  sodium: Sodium,
): { readonly deflated: boolean; readonly bytes: Uint8Array } | undefined {
  if (sealed.length > NONCE_BYTES + AEAD_TAG_BYTES + 1 + CHUNK_BYTES_MAX) return undefined
  const nonce = sealed.subarray(0, NONCE_BYTES)
  if (nonce.length < NONCE_BYTES) return undefined
  const plain = sodium.decrypt(sealed.subarray(NONCE_BYTES), boundTo(id), nonce, key.chunks)
  if (plain?.[0] === undefined || plain[0] > 1) return undefined
  return { deflated: plain[0] === 1, bytes: plain.subarray(1) }
}

/**
 * box of the vault key 80B | nonce 24B | XChaCha20-Poly1305 of: body as bytes | signature 64B. The signature covers tag,
 * the box and the body; undefined when the kit's key is no good.
 */
export function sealRoot(
  root: Root,
  by: { readonly key: VaultKey; readonly sign: Secret<'sign'>; readonly kit: SealPublicKey },
  random: (bytes: number) => Uint8Array,
  sodium: Sodium,
): { readonly id: ChunkId; readonly bytes: Uint8Array } | undefined {
  const box = sodium.sealBox(by.key.bytes, by.kit, random(SEED_BYTES))
  if (box === undefined) return undefined
  const body = encode((writer) => {
    writeByte(writer, FORMAT)
    writeId(writer, root.mesh)
    writeId(writer, root.node)
    writeUint(writer, root.atMs)
    writeId(writer, root.incarnation)
    writeList(writer, root.parts, ({ name, entries, bytes, chunks }) => {
      writeByte(writer, PARTS.indexOf(name))
      writeUint(writer, entries)
      writeUint(writer, bytes)
      writeUint(writer, chunks)
    })
    writeList(writer, root.index, (id) => writeId(writer, id))
  })
  const signature = sodium.sign(signed(box, body), by.sign)
  const plain = encode((writer) => {
    writeBytes(writer, body)
    writeFixed(writer, signature)
  })
  const nonce = random(NONCE_BYTES)
  const bytes = concatBytes(box, nonce, sodium.encrypt(plain, TAGS.snapshotRoot, nonce, by.key.roots))
  return { id: chunkIdOf(bytes, by.key, sodium), bytes }
}

/** Opened, and not believed yet: `isSignedBy` says whether its node made it. */
export interface OpenedRoot extends Root {
  readonly key: VaultKey
  readonly isSignedBy: (key: SignPublicKey) => boolean
}

/** With the kit's sealing key, or with the node's own vault key. Undefined for what neither opens. Never throws. */
export function openRoot(
  bytes: Uint8Array,
  by: { readonly kit: KeyPair<SealPublicKey, 'seal'> } | { readonly own: VaultKey },
  sodium: Sodium,
): OpenedRoot | undefined {
  if (bytes.length < BOX_BYTES + NONCE_BYTES) return undefined
  const box = bytes.subarray(0, BOX_BYTES)
  const opened = 'own' in by ? by.own.bytes : sodium.openBox(box, by.kit)
  if (opened?.length !== CONTENT_KEY_BYTES) return undefined
  const key = 'own' in by ? by.own : vaultKeyFrom(opened, sodium)
  const nonce = bytes.subarray(BOX_BYTES, BOX_BYTES + NONCE_BYTES)
  const plain = sodium.decrypt(bytes.subarray(BOX_BYTES + NONCE_BYTES), TAGS.snapshotRoot, nonce, key.roots)
  if (plain === undefined) return undefined
  const read = decode(plain, (reader) => ({
    body: readBytes(reader, bytesLeft(reader)),
    signature: readFixed(reader, SIGNATURE_BYTES) as Signature,
  }))
  if (!read.ok) return undefined
  const { body, signature } = read.value
  const root = decode(body, (reader): Root => {
    if (readByte(reader) !== FORMAT) throw new Malformed()
    return {
      mesh: readId<MeshId>(reader, 32),
      node: readId<NodeId>(reader, 32),
      atMs: readUint(reader, TIME_MS_MAX),
      incarnation: readId<IncarnationId>(reader, 16),
      parts: readList(reader, PARTS_MAX, (each) => {
        const name = PARTS[readByte(each)]
        if (name === undefined) throw new Malformed()
        return { name, entries: readUint(each), bytes: readUint(each), chunks: readUint(each) }
      }),
      index: readList(reader, INDEX_CHUNKS_MAX, (each) => readId<ChunkId>(each, 32)),
    }
  })
  if (!root.ok || !isConsistent(root.value)) return undefined
  const isSignedBy = (by: SignPublicKey): boolean => sodium.verify(signature, signed(box, body), by)
  return { ...root.value, key, isSignedBy }
}

/** Each part once, in order, and an index of as many ids as the parts have chunks. */
function isConsistent({ parts, index }: Root): boolean {
  const places = parts.map(({ name }) => PARTS.indexOf(name))
  const chunks = parts.reduce((sum, part) => sum + part.chunks, 0)
  return (
    places.every((place, at) => at === 0 || place > (places[at - 1] ?? 0)) &&
    index.length === Math.ceil(chunks / IDS_PER_CHUNK)
  )
}

const signed = (box: Uint8Array, body: Uint8Array): Uint8Array => concatBytes(TAGS.snapshot, box, body)

const boundTo = (id: ChunkId): Uint8Array => concatBytes(TAGS.snapshotChunk, fromHex(id))
