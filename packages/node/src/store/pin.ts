import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { decode, encode, readFixed, readUint, toHex, writeFixed, writeUint } from '@sealmesh/protocol/bytes'
import { writeDurably } from '../keys/durable-file.ts'
import type { Put } from './database.ts'
import { afterPrefix, COUNT_KEY } from './keys.ts'
import type { Store } from './store.ts'

/** While batches land the file is at most this old: what a crash and a lost log together could hide. */
const WRITE_EVERY_MS = 5_000
const ID_BYTES = 8

/** What the database should have held and did not. */
export interface FellBack {
  /** Batches that were durable when the pin was written. */
  readonly pinned: number
  /** Batches that the database knows of; null for one that knows nothing at all. */
  readonly found: number | null
}

/**
 * One line beside the database: which one it is, and how many batches it had taken. LevelDB opens cleanly without a
 * log that was deleted, and a database that somebody put back from an older copy is whole: only something outside of
 * it can tell. Every batch writes its number into the database; the file follows every few seconds and at the end.
 */
export class Pin {
  readonly #path: string
  readonly #monotonicMs: () => number
  #id: string | undefined
  #idBytes: Uint8Array | undefined
  #count = 0
  #written = -1
  #durable = 0
  #writtenAtMs = Number.NEGATIVE_INFINITY
  #writing: Promise<void> | undefined
  #fellBack: FellBack | undefined

  constructor(path: string, monotonicMs: () => number) {
    this.#path = path
    this.#monotonicMs = monotonicMs
  }

  /** Set once the database is open, when it holds less than was pinned. */
  get fellBack(): FellBack | undefined {
    return this.#fellBack
  }

  /** Goes into every batch. */
  countBatch(): Put {
    this.#count += 1
    this.#id ??= toHex(randomBytes(ID_BYTES))
    this.#idBytes ??= Buffer.from(this.#id, 'hex')
    return { type: 'put', key: COUNT_KEY, value: writeCount(this.#idBytes, this.#count) }
  }

  /** A batch is durable. */
  landed(): void {
    this.#durable = this.#count
    if (this.#writing !== undefined || this.#monotonicMs() - this.#writtenAtMs < WRITE_EVERY_MS) return
    this.#writing = this.write().finally(() => {
      this.#writing = undefined
    })
  }

  /** What cannot be written is missed by nobody but the next start. */
  async write(): Promise<void> {
    if (this.#id === undefined || this.#durable === this.#written) return
    this.#writtenAtMs = this.#monotonicMs()
    const count = this.#durable
    const line = `sealmesh-pin-1 ${this.#id} ${count}`
    try {
      await writeDurably(this.#path, `${line} ${checkOf(line)}\n`)
      this.#written = count
    } catch {
      this.#writtenAtMs = this.#monotonicMs()
    }
  }

  /** Compares with the database, which has just been opened. A pin that is damaged says nothing. Before anything is written. */
  async attach(store: Store): Promise<void> {
    const pinned = await readPin(this.#path)
    const entry = await countIn(store)
    const found = readCount(entry?.value)
    // One that has changed says nothing either: the rest of the database is whole, or shows that it is not.
    const isChanged = entry !== undefined && found === undefined
    if (pinned !== undefined && !isChanged && (found?.id !== pinned.id || found.count < pinned.count))
      this.#fellBack = { pinned: pinned.count, found: found?.id === pinned.id ? found.count : null }
    this.#id = found?.id ?? pinned?.id
    this.#idBytes = undefined
    // Never below what was said once, so that the next start compares with this one.
    this.#count = Math.max(found?.count ?? 0, pinned?.count ?? 0)
  }
}

const writeCount = (id: Uint8Array, count: number): Uint8Array =>
  encode((w) => {
    writeFixed(w, id)
    writeUint(w, count)
  })

function readCount(value: Uint8Array | undefined): { id: string; count: number } | undefined {
  const read = value && decode(value, (r) => ({ id: toHex(readFixed(r, ID_BYTES)), count: readUint(r) }))
  return read?.ok ? read.value : undefined
}

async function countIn(store: Store): Promise<{ readonly value: Uint8Array | undefined } | undefined> {
  for await (const entry of store.examine({ from: COUNT_KEY, to: afterPrefix(COUNT_KEY), first: true })) return entry
  return undefined
}

async function readPin(path: string): Promise<{ id: string; count: number } | undefined> {
  const text = await readFile(path, 'latin1').catch(() => '')
  const [, line, id, count, check] = /^(sealmesh-pin-1 ([0-9a-f]{16}) (\d+)) ([0-9a-f]{16})\n$/.exec(text) ?? []
  if (line === undefined || id === undefined || checkOf(line) !== check) return undefined
  return { id, count: Number(count) }
}

const checkOf = (line: string): string => createHash('blake2b512').update(line).digest('hex').slice(0, 16)
