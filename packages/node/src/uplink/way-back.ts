import { createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { RELAYS_MAX } from '@sealmesh/protocol/limits'
import { writeDurably } from '../keys/durable-file.ts'

/** An address has at most 512 characters. */
const FILE_BYTES_MAX = RELAYS_MAX * 640

/**
 * The relays' addresses in a file of their own. The log says them, too; where a disk has lost the record that does, in
 * both its copies, this node would have nobody left to ask for it.
 */
export class WayBack {
  readonly #path: string
  #kept: readonly string[]

  private constructor(path: string, kept: readonly string[]) {
    this.#path = path
    this.#kept = kept
  }

  /** A line that is damaged says nothing; the file is made anew. */
  static async load(path: string): Promise<WayBack> {
    const text = await readFile(path, 'utf8').catch(() => '')
    const kept: string[] = []
    for (const line of text.slice(0, FILE_BYTES_MAX).trimEnd().split('\n')) {
      const [address = '', sum, ...rest] = line.split(' ')
      if (rest.length === 0 && sum === sumOf(address) && kept.length < RELAYS_MAX) kept.push(address)
    }
    return new WayBack(path, kept)
  }

  /** In the order of preference. */
  get addresses(): readonly string[] {
    return this.#kept
  }

  /** What the log says now: none when it says that there is none. */
  async keep(addresses: readonly string[]): Promise<void> {
    if (addresses.join() === this.#kept.join()) return
    this.#kept = addresses
    const lines = addresses.map((address) => `${address} ${sumOf(address)}\n`)
    if (lines.length === 0) await rm(this.#path, { force: true })
    else await writeDurably(this.#path, lines.join(''))
  }
}

const sumOf = (address: string): string => createHash('sha256').update(address).digest('hex')
