import { createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { RELAYS_MAX } from '@sealmesh/protocol/limits'
import { writeDurably } from '../keys/durable-file.ts'

/** An address has at most 512 characters; of a relay that has moved two stand in a line. */
const FILE_BYTES_MAX = RELAYS_MAX * 1_200

/** A relay that the log still has at `instead`. */
interface Moved {
  readonly address: string
  readonly instead: string
}

/**
 * The relays' addresses in a file of their own. The log says them, too; where a disk has lost the record that does, in
 * both its copies, this node would have nobody left to ask for it. And what a person said of a relay that has moved,
 * until the log says it: a node that slept meanwhile would otherwise look for it in vain.
 */
export class WayBack {
  readonly #path: string
  #kept: readonly string[]
  #moved: readonly Moved[]

  private constructor(path: string, kept: readonly string[], moved: readonly Moved[]) {
    this.#path = path
    this.#kept = kept
    this.#moved = moved
  }

  /** A line that is damaged says nothing; the file is made anew. */
  static async load(path: string): Promise<WayBack> {
    const text = await readFile(path, 'utf8').catch(() => '')
    const kept: string[] = []
    const moved: Moved[] = []
    for (const line of text.slice(0, FILE_BYTES_MAX).trimEnd().split('\n')) {
      const words = line.split(' ')
      const sum = words.pop()
      const [address = '', instead, ...rest] = words
      if (rest.length > 0 || sum !== sumOf(words.join(' '))) continue
      if (instead === undefined) kept.push(address)
      else moved.push({ address, instead })
    }
    return new WayBack(path, kept.slice(0, RELAYS_MAX), moved.slice(0, RELAYS_MAX))
  }

  /** As the log had them, in the order of preference. */
  get addresses(): readonly string[] {
    return this.#kept
  }

  /** Where to dial a relay that the log has at `named`. */
  now(named: string): string {
    return this.#moved.find(({ instead }) => instead === named)?.address ?? named
  }

  /** What the log says now: none when it says that there is none. What it says otherwise of a relay that has moved counts. */
  async keep(addresses: readonly string[]): Promise<void> {
    const moved = this.#moved.filter(({ instead }) => addresses.includes(instead))
    if (addresses.join() === this.#kept.join() && moved.length === this.#moved.length) return
    await this.#write(addresses, moved)
  }

  /** A person says that the relay which the log has at `instead` is at `address`. */
  async move(address: string, instead: string): Promise<void> {
    const others = this.#moved.filter((each) => each.instead !== instead)
    await this.#write(this.#kept, address === instead ? others : [...others, { address, instead }].slice(-RELAYS_MAX))
  }

  async #write(kept: readonly string[], moved: readonly Moved[]): Promise<void> {
    this.#kept = kept
    this.#moved = moved
    const lines = [...kept, ...moved.map(({ address, instead }) => `${address} ${instead}`)]
    if (lines.length === 0) await rm(this.#path, { force: true })
    else await writeDurably(this.#path, lines.map((line) => `${line} ${sumOf(line)}\n`).join(''))
  }
}

const sumOf = (line: string): string => createHash('sha256').update(line).digest('hex')
