import { type FileHandle, open, readFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { fromHex, toHex } from '@sealmesh/protocol/bytes'
import { PRIVATE_FILE_MODE, writeDurably } from '../keys/durable-file.ts'
import type { Operation } from './database.ts'
import { TABLES } from './keys.ts'
import type { Store } from './store.ts'

/**
 * A second copy, beside the database, of the little that a node cannot start without or ask anybody for: the named
 * values (which mesh, its token) and the membership log. One line for each entry, each with a check of its own; a
 * later line of a key replaces an earlier one. It only ever fills what the database has lost.
 */
export class Mirror {
  readonly #path: string
  readonly #entries: Map<string, string>
  #lines: number
  #file: FileHandle | undefined
  #tail: Promise<void> = Promise.resolve()
  /** Lines that did not match their check when it was opened. */
  readonly damaged: number

  private constructor(path: string, entries: Map<string, string>, lines: number, damaged: number) {
    this.#path = path
    this.#entries = entries
    this.#lines = lines
    this.damaged = damaged
  }

  static async open(path: string): Promise<Mirror> {
    const text = await readFile(path, 'latin1').catch(() => '')
    const entries = new Map<string, string>()
    let damaged = 0
    const lines = text.split('\n').filter((line) => line !== '')
    for (const line of lines) {
      const read = readLine(line) ?? (damaged++ < MENDED_MAX ? mendedLine(line) : undefined)
      if (read === undefined) continue
      if (read.value === GONE) entries.delete(read.key)
      else entries.set(read.key, read.value)
    }
    return new Mirror(path, entries, lines.length, damaged)
  }

  /** Whether this key has a second copy. */
  static holds(key: Uint8Array): boolean {
    return MIRRORED.some((table) => table === key[0])
  }

  /**
   * Puts back what the database should have and has not, takes up what it has beyond this. `distrusted`: its files were
   * damaged or older than they should be, so that of two versions this one is the newer. Gives how many came back.
   */
  async reconcile(store: Store, distrusted: boolean): Promise<number> {
    const missing = new Map(this.#entries)
    const more: Operation[] = []
    for (const table of MIRRORED) {
      const range = { from: Uint8Array.of(table), to: Uint8Array.of(table + 1) }
      for await (const { key, value } of store.examine(range)) {
        if (value === undefined) continue
        const id = toHex(key)
        const copy = this.#entries.get(id)
        if (copy !== undefined && copy !== toBase64(value) && distrusted) continue
        missing.delete(id)
        if (copy !== toBase64(value)) more.push({ type: 'put', key, value })
      }
    }
    const back = [...missing].map(([key, value]): Operation => {
      return { type: 'put', key: fromHex(key), value: new Uint8Array(Buffer.from(value, 'base64')) }
    })
    if (back.length > 0) await store.commit(back)
    this.landed(more)
    if (this.damaged > 0 || this.#lines > 2 * this.#entries.size + LINES_SPARE) this.#do(() => this.#rewrite())
    return back.length
  }

  /** A batch is durable: its named values and records follow here. */
  landed(operations: readonly Operation[]): void {
    let text = ''
    for (const operation of operations) {
      if (!Mirror.holds(operation.key)) continue
      const key = toHex(operation.key)
      const value = operation.type === 'put' ? toBase64(operation.value) : GONE
      if (value === GONE) this.#entries.delete(key)
      else this.#entries.set(key, value)
      text += lineOf(key, value)
      this.#lines += 1
    }
    if (text !== '') this.#do(() => this.#append(text))
  }

  async close(): Promise<void> {
    await this.#tail
    await this.#file?.close()
    this.#file = undefined
  }

  /** A copy that cannot be written is no reason to stop: the database has it, and the next start tries again. */
  #do(work: () => Promise<void>): void {
    this.#tail = this.#tail.then(work).catch(() => undefined)
  }

  async #append(text: string): Promise<void> {
    this.#file ??= await open(this.#path, 'a', PRIVATE_FILE_MODE)
    await this.#file.appendFile(text)
    await this.#file.datasync()
  }

  async #rewrite(): Promise<void> {
    await this.#file?.close()
    this.#file = undefined
    await writeDurably(this.#path, [...this.#entries].map(([key, value]) => lineOf(key, value)).join(''))
    this.#lines = this.#entries.size
  }
}

/** What no peer has, or what a node needs before it can ask one. */
const MIRRORED = [TABLES.meta, TABLES.record, TABLES.folder]
const GONE = '-'
/** Lines that are looked at for one flipped bit, and the longest of them: some 10,000 hashes each. */
const MENDED_MAX = 16
const MENDED_CHARACTERS_MAX = 4_096
/** Replaced lines that are not worth a new file. */
const LINES_SPARE = 64

function readLine(line: string): { readonly key: string; readonly value: string } | undefined {
  const [, content, key, value, check] = /^(([0-9a-f]+) ([\w+/=-]*)) ([0-9a-f]{16})$/.exec(line) ?? []
  if (content === undefined || key === undefined || value === undefined || checkOf(content) !== check) return undefined
  return { key, value }
}

/** What one flipped bit made unreadable: of all lines that differ in one only the true one matches its check. */
function mendedLine(line: string): ReturnType<typeof readLine> {
  if (line.length > MENDED_CHARACTERS_MAX) return undefined
  const bytes = Buffer.from(line, 'latin1')
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    const read = readLine(bytes.toString('latin1'))
    if (read !== undefined) return read
    bytes[bit >> 3]! ^= 1 << (bit & 7)
  }
  return undefined
}

const lineOf = (key: string, value: string): string => `${key} ${value} ${checkOf(`${key} ${value}`)}\n`
const toBase64 = (value: Uint8Array): string => Buffer.from(value).toString('base64')
const checkOf = (line: string): string => createHash('blake2b512').update(line).digest('hex').slice(0, 16)
