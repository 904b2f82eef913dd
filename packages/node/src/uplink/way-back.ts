import { createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { writeDurably } from '../keys/durable-file.ts'

/** An address has at most 512 characters. */
const LINE_BYTES_MAX = 640

/**
 * The relay's address in a file of its own. The log says it, too; where a disk has lost the record that does, in both
 * its copies, this node would have nobody left to ask for it.
 */
export class WayBack {
  readonly #path: string
  #kept: string | undefined

  private constructor(path: string, kept: string | undefined) {
    this.#path = path
    this.#kept = kept
  }

  /** A file that is damaged says nothing, and is made anew. */
  static async load(path: string): Promise<WayBack> {
    const line = await readFile(path, 'utf8').catch(() => '')
    const [address = '', sum, ...rest] = line.slice(0, LINE_BYTES_MAX).trimEnd().split(' ')
    return new WayBack(path, rest.length === 0 && sum === sumOf(address) ? address : undefined)
  }

  get address(): string | undefined {
    return this.#kept
  }

  /** What the log says now: undefined when it says that there is none. */
  async keep(address: string | undefined): Promise<void> {
    if (address === this.#kept) return
    this.#kept = address
    if (address === undefined) await rm(this.#path, { force: true })
    else await writeDurably(this.#path, `${address} ${sumOf(address)}\n`)
  }
}

const sumOf = (address: string): string => createHash('sha256').update(address).digest('hex')
