import { createRequire, syncBuiltinESMExports } from 'node:module'
import type { Dice } from '@sealmesh/protocol/test-dice'

type Crypto = Record<'randomBytes', unknown>
/** What modules have imported by name from here is changed in place. */
const crypto = createRequire(import.meta.url)('node:crypto') as Crypto
const real = crypto.randomBytes

/** The dice that nobody is given: nonces of logins and questions, which the product takes from the system. */
export function installNonces({ random }: Dice): void {
  crypto.randomBytes = (bytes: number) => {
    const drawn = Buffer.allocUnsafe(bytes)
    for (let at = 0; at < bytes; at++) drawn[at] = random() * 256
    return drawn
  }
  syncBuiltinESMExports()
}

export function uninstallNonces(): void {
  crypto.randomBytes = real
  syncBuiltinESMExports()
}
