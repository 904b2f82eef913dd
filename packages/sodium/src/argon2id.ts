import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'

/** What a guess costs. Kept beside what was sealed, so that it can grow. */
export interface Argon2idCost {
  readonly passes: number
  readonly memoryMiB: number
}

export const ARGON2ID_SALT_BYTES = 16

/** JavaScript and no file of its own, so that it also runs where the sources do. */
const PROGRAM = `
const { parentPort, workerData } = require('node:worker_threads')
const { library, keyBytes, passphrase, salt, passes, memoryMiB } = workerData
import(library).then(async ({ default: sodium }) => {
  await sodium.ready
  const { crypto_pwhash, crypto_pwhash_ALG_ARGON2ID13: algorithm } = sodium
  parentPort.postMessage(crypto_pwhash(keyBytes, passphrase, salt, passes, memoryMiB * 1_048_576, algorithm))
})
`

/**
 * Argon2id of libsodium, in a thread of its own: it works for a second in one go, and a WebAssembly memory that has
 * grown to hold its table never shrinks.
 */
export function argon2id(
  passphrase: string,
  salt: Uint8Array,
  { passes, memoryMiB }: Argon2idCost,
  keyBytes = 32,
): Promise<Uint8Array> {
  const library = pathToFileURL(createRequire(import.meta.url).resolve('libsodium-wrappers-sumo')).href
  const worker = new Worker(PROGRAM, {
    eval: true,
    workerData: { library, keyBytes, passphrase, salt, passes, memoryMiB },
    env: {},
    execArgv: [],
  })
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error('The thread that stretches a passphrase ended without an answer.')))
  })
}
