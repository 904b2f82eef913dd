import { createHash, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { createSecureContext } from 'node:tls'
import { Failure } from '@sealmesh/protocol/errors'
import { type DataDirectory, errnoOf, readPrivate, writePrivate } from './data-directory.ts'

export interface Certificate {
  readonly key: string
  readonly cert: string
  /** SHA-256 of the certificate's DER, hex, when nodes should pin it; null when authorities vouch for it. */
  readonly pin: string | null
}

const YEARS = 20 // Nodes pin this very certificate: a new one is a new address for all of them.

/** The relay's own certificate, made once. Names in it do not matter, since nodes compare its hash. */
export async function selfSigned(data: DataDirectory, host: string, nowMs: number): Promise<Certificate> {
  const known = { key: await readPrivate(data.tlsKey), cert: await readPrivate(data.tlsCertificate) }
  if (known.key !== undefined && known.cert !== undefined) {
    return { key: known.key, cert: known.cert, pin: checked(known.key, known.cert, data.tlsCertificate) }
  }
  const { generate } = await import('selfsigned')
  const altNames = isIP(host) === 0 ? [{ type: 2 as const, value: host }] : [{ type: 7 as const, ip: host }]
  const made = await generate([{ name: 'commonName', value: 'sealmesh-relay' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate: new Date(nowMs - 24 * 60 * 60_000),
    notAfterDate: new Date(nowMs + YEARS * 365 * 24 * 60 * 60_000),
    extensions: [{ name: 'subjectAltName', altNames }],
  })
  // The key last: with both there, both belong together.
  await writePrivate(data.tlsCertificate, made.cert)
  await writePrivate(data.tlsKey, made.private)
  return { key: made.private, cert: made.cert, pin: checked(made.private, made.cert, data.tlsCertificate) }
}

/** A certificate from an authority, such as certbot's files. */
export async function fromFiles(certFile: string, keyFile: string): Promise<Certificate> {
  const [cert, key] = [await readText(certFile), await readText(keyFile)]
  checked(key, cert, certFile)
  return { key, cert, pin: null }
}

/** The hash of the first certificate, if it and the key belong together. */
function checked(key: string, cert: string, path: string): string {
  try {
    createSecureContext({ key, cert })
    return createHash('sha256').update(new X509Certificate(cert).raw).digest('hex')
  } catch (error) {
    throw new Failure('KEY_DAMAGED', `The certificate and its key cannot be used: ${path}.`, {
      cause: error,
      next: 'restore both files; a new self-signed certificate would be another address to every node',
    })
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new Failure('FILE_NOT_FOUND', `${path} cannot be read (${errnoOf(error) ?? 'unknown error'}).`, {
      cause: error,
    })
  }
}
