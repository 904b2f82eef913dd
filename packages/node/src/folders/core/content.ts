import { TEXT_FILE_BYTES_MAX } from './limits.ts'

/** A file's bytes as what they are carried as. */
export type Content =
  | { readonly kind: 'text'; readonly bytes: Uint8Array; readonly text: string; readonly hash: string }
  | { readonly kind: 'binary'; readonly bytes: Uint8Array; readonly text: undefined; readonly hash: string }

/** Text is valid UTF-8 without zeros, up to a size; a byte order mark is part of it. */
export function contentOf(bytes: Uint8Array, hashOf: (content: Uint8Array) => string): Content {
  const text = bytes.length <= TEXT_FILE_BYTES_MAX && !bytes.includes(0) ? decode(bytes) : undefined
  const hash = hashOf(bytes)
  return text === undefined ? { kind: 'binary', bytes, text, hash } : { kind: 'text', bytes, text, hash }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decode(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}
