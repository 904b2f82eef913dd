import { createHash } from 'node:crypto'

/** Inputs for decoders: made of good ones by what damage and malice do, or of nothing. The same for the same seed. */
export class Mutations {
  #state: number
  readonly #samples: readonly Uint8Array[]

  constructor(seed: string, samples: readonly Uint8Array[]) {
    this.#state = createHash('sha256').update(seed).digest().readUInt32LE(0)
    this.#samples = samples
  }

  next(): Uint8Array {
    if (this.#samples.length === 0 || this.#below(16) === 0) return this.#noise(this.#below(400))
    let bytes = this.#sample()
    for (let left = 1 + this.#below(4); left > 0; left--) bytes = this.#changed(bytes)
    return bytes
  }

  /** xorshift: cheap, so that a run spends its time in decoders. */
  #below(limit: number): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x >>> 0
    return this.#state % limit
  }

  #sample = (): Uint8Array => this.#samples[this.#below(this.#samples.length)] ?? new Uint8Array()
  #noise = (length: number): Uint8Array => Uint8Array.from({ length }, () => this.#below(256))

  #changed(bytes: Uint8Array): Uint8Array {
    const at = this.#below(bytes.length + 1)
    const some = this.#below(1 + Math.min(40, bytes.length - at))
    switch (this.#below(9)) {
      case 0:
        return at === bytes.length ? bytes : bytes.with(at, (bytes[at] ?? 0) ^ (1 << this.#below(8)))
      case 1:
        return at === bytes.length ? bytes : bytes.with(at, this.#below(256))
      case 2:
        return bytes.slice(0, at)
      case 3:
        return replaced(bytes, at, some, new Uint8Array())
      case 4:
        return replaced(bytes, at, 0, this.#noise(some))
      case 5:
        // A run said twice: an entry, a key, a whole list.
        return replaced(bytes, at, 0, bytes.subarray(at, at + some))
      case 6:
        return replaced(bytes, at, 1, NUMBERS[this.#below(NUMBERS.length)]!)
      case 7: {
        const other = this.#sample()
        const from = this.#below(other.length + 1)
        return replaced(bytes, at, bytes.length - at, other.subarray(from))
      }
      default:
        return replaced(bytes, at, some, new Uint8Array(some).fill(this.#below(2) * 255))
    }
  }
}

function replaced(bytes: Uint8Array, at: number, length: number, by: Uint8Array): Uint8Array {
  const rest = bytes.subarray(at + length)
  const made = new Uint8Array(at + by.length + rest.length)
  made.set(bytes.subarray(0, at))
  made.set(by, at)
  made.set(rest, at + by.length)
  return made
}

/** Numbers of variable length that are large, at an edge, or written longer than they need be. */
const NUMBERS = [
  [0x00],
  [0x7f],
  [0x80, 0x00],
  [0x80, 0x01],
  [0xff, 0xff, 0x03],
  [0xff, 0xff, 0xff, 0xff, 0x07],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
].map((bytes) => Uint8Array.from(bytes))
