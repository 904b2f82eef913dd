import { createHash } from 'node:crypto'
import type { Sodium } from '@sealmesh/protocol/sodium'

/** Only what the core asks of it. */
export const fakeSodium = {
  hash: (parts: readonly Uint8Array[]) => {
    const hash = createHash('sha256')
    for (const part of parts) hash.update(part)
    return new Uint8Array(hash.digest())
  },
} as unknown as Sodium

export const sha = (text: string): string => createHash('sha256').update(text).digest('hex')
