import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fromHex, isHex, toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { claimKeyOf } from '@sealmesh/protocol/wire/challenge'
import type { ClaimKey } from '../core/event.ts'
import { type DataDirectory, writePrivate } from './data-directory.ts'

/**
 * Open claim codes, one file each, so that `sealmesh-relay claim` works whether the relay runs or not: a running one
 * looks here whenever a login brings a claim. A file holds what the code is checked with, never the code.
 */
const CLAIM_MS = 24 * 60 * 60_000 // A code that was printed into a log should not open the relay for ever.
const CLAIMS_MAX = 64
/** Crockford's: no letter that is read as another. Five bits each, so 100 bits in all. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const CODE_CHARACTERS = 20

/** Makes a code that admits one mesh, once. */
export async function createClaim(
  data: DataDirectory,
  deps: { sodium: Sodium; random: (bytes: number) => Uint8Array; nowMs: number },
): Promise<string> {
  if (openClaims(data, deps.nowMs).length >= CLAIMS_MAX)
    throw new Failure('USAGE', `There are ${CLAIMS_MAX} open claim codes already.`, {
      next: `use one of them, or remove the files in ${data.claims}`,
    })
  const characters = Array.from(deps.random(CODE_CHARACTERS), (byte) => ALPHABET[byte % ALPHABET.length])
  const code = characters.join('').replace(/.{5}(?=.)/g, '$&-')
  const expiresMs = deps.nowMs + CLAIM_MS
  const id = toHex(deps.random(8))
  await writePrivate(join(data.claims, id), `${toHex(claimKeyOf(code, deps.sodium))} ${expiresMs}\n`)
  return code
}

/** Those that are still good; what has expired is removed on the way. */
export function openClaims(data: DataDirectory, nowMs: number): ClaimKey[] {
  const claims: ClaimKey[] = []
  for (const id of readdirSync(data.claims)) {
    if (!isHex(id, 8)) continue
    const [key = '', expires = ''] = readFileSync(join(data.claims, id), 'utf8').trim().split(' ')
    const expiresMs = Number(expires)
    if (isHex(key, 32) && expiresMs > nowMs) claims.push({ id, key: fromHex(key), expiresMs })
    else spendClaim(data, id)
  }
  return claims
}

/** The database remembers which codes were used, so that a file that survives a crash opens nothing. */
export const spendClaim = (data: DataDirectory, id: string): void => rmSync(join(data.claims, id), { force: true })
