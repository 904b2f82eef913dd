import { createHash, X509Certificate } from 'node:crypto'

export interface DirectCertificate {
  readonly key: string
  readonly cert: string
  /** SHA-256 of its DER. */
  readonly hash: Uint8Array
}

const DAY_MS = 24 * 60 * 60_000
/** A node that is not started anew for so long may be dialled by nobody until it is; its links stay. */
const LIFE_MS = 10 * 365 * DAY_MS

/**
 * Another one at each start, kept nowhere: neighbours who scan a LAN cannot tell by it which machine they have seen before.
 * Who shows it, its holder signs in the login (docs/spec/18-direct-links.md §3).
 */
export async function makeCertificate(nowMs: number): Promise<DirectCertificate> {
  const { generate } = await import('selfsigned')
  const made = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate: new Date(nowMs - DAY_MS),
    notAfterDate: new Date(nowMs + LIFE_MS),
  })
  const hash = createHash('sha256').update(new X509Certificate(made.cert).raw).digest()
  return { key: made.private, cert: made.cert, hash }
}
