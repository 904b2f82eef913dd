import { toBase64Url } from '@sealmesh/protocol/pairing/base64url'

const ID_CHARACTERS = 22
/** Of many ids: to ask for each by itself costs more than all else of it. */
const POOL_BYTES = 33 * 64

/**
 * Ids that nobody can guess who has not been told them: who knew the next one could answer a question before it is asked,
 * or have a message of that id acknowledged in place of another's.
 */
export function messageIds(random: (bytes: number) => Uint8Array): () => string {
  let [pool, at] = ['', 0]
  return () => {
    if (at + ID_CHARACTERS > pool.length) [pool, at] = [toBase64Url(random(POOL_BYTES)), 0]
    const id = pool.slice(at, at + ID_CHARACTERS)
    at += ID_CHARACTERS
    // One that begins with - would be an option to `sealmesh trace`.
    return id.startsWith('-') ? `_${id.slice(1)}` : id
  }
}
