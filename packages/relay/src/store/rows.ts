import { createHash } from 'node:crypto'
import { Failure } from '@sealmesh/protocol/errors'
import type { Database } from './store.ts'

/**
 * A whole database as a stream: each row as the lengths of key and value (4 B each, big-endian) and both; then an end
 * that counts the rows (8 B) and hashes all that came before. A stream without its end is none.
 *
 *   row   key length 4B (1 to 255) | value length 4B | key | value
 *   end   0 4B | 0 4B | rows 8B | SHA-256 32B
 */
export type Row = readonly [key: Buffer, value: Buffer]

const HEAD_BYTES = 8
const END_BYTES = HEAD_BYTES + 8 + 32
const KEY_BYTES_MAX = 255
/** Above a piece of a snapshot, the largest that is stored. */
const VALUE_BYTES_MAX = 1_048_576
/** Rows of one read: a turn of the loop stays short, since a relay goes on serving meanwhile. */
const ROWS_AT_ONCE = 64

/** As the database is at this moment, whatever is written meanwhile: an iterator sees a snapshot. */
export function streamOf(db: Database): ReadableStream<Uint8Array> {
  const rows = db.iterator()
  const hash = createHash('sha256')
  let count = 0
  const write = (controller: ReadableStreamDefaultController<Uint8Array>, bytes: Buffer): void => {
    hash.update(bytes)
    controller.enqueue(bytes)
  }
  return new ReadableStream(
    {
      async pull(controller) {
        const some = await rows.nextv(ROWS_AT_ONCE)
        if (some.length === 0) {
          await rows.close()
          const end = Buffer.alloc(HEAD_BYTES + 8)
          end.writeBigUInt64BE(BigInt(count), HEAD_BYTES)
          write(controller, end)
          controller.enqueue(hash.digest())
          return controller.close()
        }
        count += some.length
        write(controller, Buffer.concat(some.flatMap(([key, value]) => [headOf(key, value), key, value])))
      },
      async cancel() {
        await rows.close()
      },
    },
    { highWaterMark: 1 },
  )
}

/** The rows of such a stream, in groups, and in the end the hash of all. Throws STORE_DAMAGED for one that was cut short or changed. */
export async function* rowsOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<readonly Row[], string> {
  const hash = createHash('sha256')
  let left: Buffer = Buffer.alloc(0)
  let count = 0
  let ended: string | null = null
  for await (const chunk of stream) {
    if (chunk.length === 0) continue
    if (ended !== null) throw damaged()
    const bytes: Buffer = left.length === 0 ? asBuffer(chunk) : Buffer.concat([left, chunk])
    const rows: Row[] = []
    let at = 0
    while (bytes.length - at >= HEAD_BYTES && ended === null) {
      const [keyBytes, valueBytes] = [bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4)]
      if (keyBytes > KEY_BYTES_MAX || valueBytes > VALUE_BYTES_MAX) throw damaged()
      const size = keyBytes === 0 ? END_BYTES : HEAD_BYTES + keyBytes + valueBytes
      if (bytes.length - at < size) break
      const row = bytes.subarray(at, at + size)
      at += size
      if (keyBytes === 0) {
        hash.update(row.subarray(0, HEAD_BYTES + 8))
        const digest = hash.digest()
        if (!digest.equals(row.subarray(HEAD_BYTES + 8)) || row.readBigUInt64BE(HEAD_BYTES) !== BigInt(count))
          throw damaged()
        ended = digest.toString('hex')
        continue
      }
      hash.update(row)
      count += 1
      rows.push([row.subarray(HEAD_BYTES, HEAD_BYTES + keyBytes), row.subarray(HEAD_BYTES + keyBytes)])
    }
    left = bytes.subarray(at)
    if (ended !== null && left.length > 0) throw damaged()
    if (rows.length > 0) yield rows
  }
  if (ended === null) throw damaged()
  return ended
}

function headOf(key: Buffer, value: Buffer): Buffer {
  const head = Buffer.allocUnsafe(HEAD_BYTES)
  head.writeUInt32BE(key.length)
  head.writeUInt32BE(value.length, 4)
  return head
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const damaged = (): Failure =>
  new Failure('STORE_DAMAGED', 'The copy of the database was cut short or changed.', {
    next: 'sealmesh-relay backup DIR again',
  })
