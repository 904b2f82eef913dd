import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { Level } from 'level'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Row, rowsOf, streamOf } from './rows.ts'
import type { Database } from './store.ts'

let directory: string
let db: Database

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sealmesh-rows-'))
  db = new Level(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  await db.open()
})
afterEach(async () => {
  await db.close()
  rmSync(directory, { recursive: true, force: true })
})

const fill = async (rows: number, bytes: number): Promise<void> => {
  for (let n = 0; n < rows; n++) await db.put(Buffer.from(`p${String(n).padStart(6, '0')}`), Buffer.alloc(bytes, n))
}
async function bytesOf(stream: ReadableStream<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}
async function read(chunks: readonly Uint8Array[]): Promise<{ rows: Row[]; sha256: string }> {
  const rows: Row[] = []
  // oxlint-disable-next-line typescript/require-await -- a stream is what it stands for
  const groups = rowsOf(
    (async function* () {
      yield* chunks
    })(),
  )
  for (;;) {
    const { value, done } = await groups.next()
    if (done === true) return { rows, sha256: value }
    rows.push(...value)
  }
}

test('what is read is what was there, however the stream is cut into pieces', async () => {
  await fill(200, 300)
  await db.put(Buffer.from('v'), Buffer.from('2'))
  await db.put(Buffer.from('m'), Buffer.alloc(0))
  const bytes = await bytesOf(streamOf(db))
  const before = (await db.iterator().all()).map(([key, value]) => `${key.toString()} ${value.toString('hex')}`)
  const whole = await read([bytes])
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 30 }), async (cuts) => {
      const at = [0, ...cuts.toSorted((a, b) => a - b), bytes.length]
      const { rows, sha256 } = await read(at.slice(1).map((end, i) => bytes.subarray(at[i], end)))
      expect(rows.map(([key, value]) => `${key.toString()} ${value.toString('hex')}`)).toEqual(before)
      expect(sha256).toBe(whole.sha256)
    }),
    { numRuns: 30 },
  )
})

test('it is of one moment, whatever is written meanwhile', async () => {
  await fill(500, 1_000)
  const stream = streamOf(db)
  const reader = stream.getReader()
  const first = await reader.read()
  await fill(600, 10)
  const chunks = [first.value ?? new Uint8Array()]
  for (let next = await reader.read(); !next.done; next = await reader.read()) chunks.push(next.value)
  const { rows } = await read(chunks)
  expect(rows).toHaveLength(500)
  expect(rows.every(([, value]) => value.length === 1_000)).toBe(true)
})

test('one that is cut short, changed or goes on after its end is refused', async () => {
  await fill(20, 50)
  const bytes = await bytesOf(streamOf(db))
  const refused = async (chunks: readonly Uint8Array[]): Promise<void> =>
    await expect(read(chunks)).rejects.toMatchObject({ code: 'STORE_DAMAGED' })
  for (let length = 0; length < bytes.length; length += 7) await refused([bytes.subarray(0, length)])
  for (let at = 0; at < bytes.length; at += 11) {
    const changed = Buffer.from(bytes)
    changed[at] = (changed[at] ?? 0) ^ 1
    await refused([changed])
  }
  await refused([bytes, Buffer.from('x')])
  // A length beyond any row is refused before anything of it is kept.
  await refused([Buffer.from('00000001ffffffff', 'hex')])
})
