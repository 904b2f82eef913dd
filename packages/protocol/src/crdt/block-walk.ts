import { HASH_BYTES } from '../keys.ts'
import { INCARNATION_BYTES } from './clock.ts'
import { NO_FLOOR, PART_OF_FLOOR } from './floor.ts'

/**
 * Goes over the bytes of a block that has been read once, without making anything of them: to find where the header
 * ends, and to see that every number stands in its shortest form, since the bytes make the block's name.
 */
class Walk {
  readonly bytes: Uint8Array
  at = 0
  isShortest = true

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  uint(): number {
    const start = this.at
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes[this.at++] ?? 0
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (byte === 0 && this.at - start > 1) this.isShortest = false
        return value
      }
    }
  }

  skip(bytes: number): void {
    this.at += bytes
  }

  header(): void {
    this.skip(1 + 32 + 32)
    this.skip(this.uint())
    this.skip(32 + INCARNATION_BYTES)
    if (this.uint() > 1) this.skip(HASH_BYTES)
    this.uint()
    this.uint()
    this.skip(this.uint() * HASH_BYTES)
    this.#floor()
    this.#clock()
    if (this.bytes[this.at++] === 1) {
      this.uint()
      this.skip(HASH_BYTES)
    }
    this.#clock()
  }

  writes(): number[] {
    let left = this.uint()
    const ends = [this.at]
    for (; left > 0; left--) {
      const type = this.bytes[this.at++]
      this.skip(this.uint())
      if (type !== TEXT) {
        if (type === SET) this.skip(this.uint())
        for (let places = this.uint(); places > 0; places--) this.uint()
      }
      ends.push(this.at)
    }
    return ends
  }

  #floor(): void {
    const kind = this.bytes[this.at++]
    if (kind !== NO_FLOOR) this.skip(HASH_BYTES + (kind === PART_OF_FLOOR ? INCARNATION_BYTES : 0))
  }

  #clock(): void {
    for (let left = this.uint(); left > 0; left--) {
      this.skip(INCARNATION_BYTES)
      this.uint()
      this.skip(HASH_BYTES)
    }
  }
}

/** Kinds of writes (03-blocks §5). */
export const SET = 0x01
export const DELETE = 0x02
export const TEXT = 0x03

export function headerLengthOf(bytes: Uint8Array): number {
  const walk = new Walk(bytes)
  walk.header()
  return walk.at
}

/** Of a header alone. */
export function isShortestHeader(bytes: Uint8Array): boolean {
  const walk = new Walk(bytes)
  walk.header()
  return walk.isShortest && walk.at === bytes.length
}

/** Where the writes of a block lie in its bytes: the end of one is the start of the next. */
export function endsOfWrites(bytes: Uint8Array): number[] {
  const walk = new Walk(bytes)
  walk.header()
  return walk.writes()
}

export function isShortest(bytes: Uint8Array): boolean {
  const walk = new Walk(bytes)
  walk.header()
  walk.writes()
  return walk.isShortest
}
