import type { Letter } from './letter.ts'

const LETTERS_MAX = 512
const BYTES_MAX = 1_048_576

export interface PastFilter {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly type?: string | undefined
  readonly correlation?: string | undefined
  readonly limit: number
}

/** The latest letters that one agent has sent and got. */
export class Past {
  #letters: (Letter | undefined)[] = []
  #head = 0
  #bytes = 0

  add(letter: Letter): void {
    this.#letters.push(letter)
    this.#bytes += letter.bytes
    while (this.#letters.length - this.#head > LETTERS_MAX || this.#bytes > BYTES_MAX) {
      this.#bytes -= this.#letters[this.#head]?.bytes ?? 0
      this.#letters[this.#head++] = undefined
    }
    if (this.#head < LETTERS_MAX) return
    this.#letters = this.#letters.slice(this.#head)
    this.#head = 0
  }

  /** The latest first. `from` without a machine means that agent on any. */
  find(filter: PastFilter): Letter[] {
    const found: Letter[] = []
    for (let at = this.#letters.length - 1; at >= this.#head && found.length < filter.limit; at--) {
      const letter = this.#letters[at]
      if (letter !== undefined && matches(letter, filter)) found.push(letter)
    }
    return found
  }
}

const matches = (letter: Letter, { from, to, type, correlation }: PastFilter): boolean =>
  (from === undefined || isNamed(letter.from, from)) &&
  (to === undefined || isNamed(letter.to, to)) &&
  (type === undefined || letter.type === type) &&
  (correlation === undefined || letter.correlation === correlation)

const isNamed = (address: string, name: string): boolean => address === name || address.startsWith(`${name}@`)
