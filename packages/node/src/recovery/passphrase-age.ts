import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'

/**
 * Files of age for a passphrase. The library runs scrypt in JavaScript, in one go: a second in which nothing else of
 * the process is served, so it has a thread of its own, which ends with the job. The thread's own heap is bounded;
 * scrypt's table lies outside of it, 256 MiB at our work factor and 1 GiB at the greatest that age takes.
 */
export type AgeJob =
  | { readonly type: 'encrypt'; readonly text: string; readonly passphrase: string; readonly workFactor: number }
  | { readonly type: 'decrypt'; readonly file: Uint8Array; readonly passphrase: string }

export type AgeOutcome =
  | { readonly ok: true; readonly armored: string }
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly why: 'armor' | 'passphrase' | 'damaged'; readonly message: string }

/** A kit of the largest size, decoded and as text. */
const HEAP_MIB_MAX = 1_024

/** JavaScript and no file of its own, so that it also runs where the sources do. */
const PROGRAM = `
const { parentPort, workerData } = require('node:worker_threads')
const { age, job } = workerData
const failed = (why, error) => ({ ok: false, why, message: String(error?.message ?? error) })
async function encrypt({ armor, Encrypter }) {
  const encrypter = new Encrypter()
  encrypter.setPassphrase(job.passphrase)
  encrypter.setScryptWorkFactor(job.workFactor)
  return { ok: true, armored: armor.encode(await encrypter.encrypt(job.text)) }
}
async function decrypt({ armor, Decrypter }) {
  const decrypter = new Decrypter()
  decrypter.addPassphrase(job.passphrase)
  const head = Buffer.from(job.file.subarray(0, 64)).toString('latin1').trimStart()
  let sealed = job.file
  try {
    // Somebody may have encrypted it again with age, which writes bytes unless it is asked for text.
    if (head.startsWith('-----BEGIN AGE')) sealed = armor.decode(Buffer.from(job.file).toString('latin1'))
  } catch (error) {
    return failed('armor', error)
  }
  try {
    return { ok: true, text: await decrypter.decrypt(sealed, 'text') }
  } catch (error) {
    return failed(/no identity matched/i.test(error?.message) ? 'passphrase' : 'damaged', error)
  }
}
import(age).then((library) => (job.type === 'encrypt' ? encrypt : decrypt)(library)).then((outcome) => parentPort.postMessage(outcome))
`

export function runAge(job: Extract<AgeJob, { type: 'encrypt' }>): Promise<{ ok: true; armored: string }>
export function runAge(
  job: Extract<AgeJob, { type: 'decrypt' }>,
): Promise<Exclude<AgeOutcome, { readonly armored: string }>>
export function runAge(job: AgeJob): Promise<AgeOutcome> {
  const age = createRequire(import.meta.url).resolve('age-encryption')
  const worker = new Worker(PROGRAM, {
    eval: true,
    workerData: { age: pathToFileURL(age).href, job },
    // Nothing of this process's environment or flags is its business.
    env: {},
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX },
  })
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error('The thread that seals kits ended without an answer.')))
  })
}
