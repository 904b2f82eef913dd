import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { AEAD_TAG_BYTES, CONTENT_KEY_BYTES, NONCE_BYTES, SEED_BYTES } from '@sealmesh/protocol/keys'
import { PADDING_FLOOR_BYTES } from '@sealmesh/protocol/limits'
import { loadSodium } from '@sealmesh/sodium/load'
import { Level } from 'level'
import { median } from '../result.ts'
import { monotonicMs, VALUE_BYTES } from './workload.ts'

/** What a lone durable, sealed write cannot do without, in milliseconds: the allowance that the latency bar grants. */
export interface UnitCosts {
  readonly syncedPutMs: number
  /** One sealed box and one AEAD, one signature, and the three undone, for a packet of the smallest size. */
  readonly sealSignOpenVerifyMs: number
  readonly sodium: string
}

const PUTS = 400
const PACKETS = 400

export async function measureUnitCosts(directory: string): Promise<UnitCosts> {
  const syncedPutMs = await timePuts(path.join(directory, 'unit-costs'))
  const sodium = await loadSodium()
  return { syncedPutMs, sealSignOpenVerifyMs: timeCrypto(sodium), sodium: sodium.implementation }
}

/** The latter alone. */
export const measureSealing = async (): Promise<number> => timeCrypto(await loadSodium())

async function timePuts(directory: string): Promise<number> {
  const db = new Level<string, string>(directory)
  await db.open()
  const times: number[] = []
  for (let i = 0; i < PUTS; i++) {
    const startedMs = monotonicMs()
    await db.put(`fact-${i}`, 'x'.repeat(VALUE_BYTES), { sync: true })
    times.push(monotonicMs() - startedMs)
  }
  await db.close()
  fs.rmSync(directory, { recursive: true })
  return median(times)
}

function timeCrypto(sodium: Awaited<ReturnType<typeof loadSodium>>): number {
  const signer = sodium.signKeys('sign', randomBytes(SEED_BYTES))
  const recipient = sodium.sealKeys(randomBytes(SEED_BYTES))
  const header = randomBytes(128)
  const payload = randomBytes(PADDING_FLOOR_BYTES - AEAD_TAG_BYTES)
  const times: number[] = []
  for (let i = 0; i < PACKETS; i++) {
    const contentKey = randomBytes(CONTENT_KEY_BYTES)
    const nonce = randomBytes(NONCE_BYTES)
    const seed = randomBytes(SEED_BYTES)
    const startedMs = monotonicMs()
    const signature = sodium.sign(payload, signer.secretKey)
    const box = sodium.sealBox(contentKey, recipient.publicKey, seed)
    const body = sodium.encrypt(payload, header, nonce, contentKey)
    const opened = box === undefined ? undefined : sodium.openBox(box, recipient)
    const plain = opened === undefined ? undefined : sodium.decrypt(body, header, nonce, opened)
    const good = plain !== undefined && sodium.verify(signature, plain, signer.publicKey)
    times.push(monotonicMs() - startedMs)
    if (!good) throw new Error('what was sealed did not open')
  }
  return median(times)
}
