import { z } from 'zod'
import { FILE_BYTES_MAX } from './limits.ts'

/**
 * How a folder lies in a document (docs/spec/10-folders.md). A file has an id that it keeps when it is renamed:
 *
 *     file/ID      register: FileEntry as JSON
 *     text/ID      text: its content, when it is one
 *     chunk/HASH   register: base64 of up to CHUNK_BYTES, when it is not
 */
export const FILE_PREFIX = 'file/'
export const TEXT_PREFIX = 'text/'
export const CHUNK_PREFIX = 'chunk/'

const ID = /^[0-9a-f]{12}$/
/** SHA-256 in base64url. */
const HASH = /^[A-Za-z0-9_-]{43}$/
const Hash = z.string().regex(HASH)
const CHUNKS_MAX = 256

const Common = {
  /** As its maker chose it; where it is shown, and whether, is for `FolderTree` to say. */
  path: z.string().max(1_024),
  /** Carried only where a person has named the path. */
  executable: z.literal(true).optional(),
  /** When it was made or last changed there, by that machine's clock. */
  mtimeMs: z.number().int().min(0).max(8_640_000_000_000_000),
  /** Deleted by one who saw this content. Other content that turns up was written meanwhile: then the file lives. */
  gone: Hash.optional(),
}
const TextEntry = z.object({ v: z.literal(1), kind: z.literal('text'), ...Common })
const BinaryEntry = z.object({
  v: z.literal(1),
  kind: z.literal('binary'),
  ...Common,
  size: z.number().int().min(0).max(FILE_BYTES_MAX),
  hash: Hash,
  chunks: z.array(Hash).max(CHUNKS_MAX),
})
const FileEntry = z.discriminatedUnion('kind', [TextEntry, BinaryEntry])
export type FileEntry = z.infer<typeof FileEntry>
export type BinaryEntry = z.infer<typeof BinaryEntry>

/** Peers write these: undefined for what is no entry. */
export function parseEntry(value: string): FileEntry | undefined {
  try {
    return FileEntry.safeParse(JSON.parse(value)).data
  } catch {
    return undefined
  }
}

export const formatEntry = (entry: FileEntry): string => JSON.stringify(entry)

export function idOfKey(key: string): string | undefined {
  const id = key.startsWith(FILE_PREFIX) ? key.slice(FILE_PREFIX.length) : ''
  return ID.test(id) ? id : undefined
}

export function idOfText(name: string): string | undefined {
  const id = name.startsWith(TEXT_PREFIX) ? name.slice(TEXT_PREFIX.length) : ''
  return ID.test(id) ? id : undefined
}

export const fileKey = (id: string): string => FILE_PREFIX + id
export const textName = (id: string): string => TEXT_PREFIX + id
export const chunkKey = (hash: string): string => CHUNK_PREFIX + hash

/** Deleted entries come back so. */
export function alive(entry: FileEntry): FileEntry {
  const { gone, ...rest } = entry
  return gone === undefined ? entry : rest
}

export function withMode(entry: FileEntry, executable: boolean): FileEntry {
  const { executable: was, ...rest } = entry
  if (executable) return { ...rest, executable }
  return was === undefined ? entry : rest
}
