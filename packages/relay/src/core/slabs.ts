/**
 * Memory for packets that readers have in hand. Such a packet lives for as long as its reader takes to acknowledge it:
 * too long for the collector's young generation, and kept as it came it would hold all of the socket's read that it
 * came in. So it is copied once, into memory that is used again. What is lent to anybody else (a socket that may still
 * write it, the disk) is never used again, but left to the collector.
 */
export interface Slab {
  readonly memory: Uint8Array
  /** Of `memory`, what the packet takes. */
  length: number
  /** How many entries hold it: one for each recipient. */
  holders: number
  isLent: boolean
}

/** Of all that waits to be used again. */
const FREE_BYTES_MAX = 8 * 1_048_576
/** Sizes: four to each power of two, so that at most a fifth of a slab is empty. */
const STEP_BITS = 2
const SMALLEST_BITS = 9

export class Slabs {
  readonly #free: Slab[][] = []
  #freeBytes = 0
  /** The least that has been free since the last `trim`: what nobody needed. */
  #unusedBytes = 0

  get freeBytes(): number {
    return this.#freeBytes
  }

  /** A copy, held by nobody yet. */
  copy(packet: Uint8Array): Slab {
    const size = sizeClass(packet.length)
    let slab = this.#free[size]?.pop()
    if (slab === undefined) slab = { memory: new Uint8Array(bytesOf(size)), length: 0, holders: 0, isLent: false }
    else {
      this.#freeBytes -= slab.memory.length
      if (this.#freeBytes < this.#unusedBytes) this.#unusedBytes = this.#freeBytes
    }
    slab.memory.set(packet)
    slab.length = packet.length
    return slab
  }

  /** One holder less; the last one gives the memory back. */
  release(slab: Slab): void {
    slab.holders -= 1
    const bytes = slab.memory.length
    if (slab.holders > 0 || slab.isLent || this.#freeBytes + bytes > FREE_BYTES_MAX) return
    this.#freeBytes += bytes
    const size = sizeClass(bytes)
    while (this.#free.length <= size) this.#free.push([])
    this.#free[size]?.push(slab)
  }

  /** Lets go of what has not been used since the last call. */
  trim(): void {
    for (const slabs of this.#free) {
      while (this.#unusedBytes > 0) {
        const slab = slabs.shift()
        if (slab === undefined) break
        this.#unusedBytes -= slab.memory.length
        this.#freeBytes -= slab.memory.length
      }
    }
    this.#unusedBytes = this.#freeBytes
  }
}

/** For whoever may need it longer than its holders. */
export function lend(slab: Slab): Uint8Array {
  slab.isLent = true
  return slab.memory.subarray(0, slab.length)
}

/** Counted from the smallest: the first that has room for so many. Shifts, since this runs for every packet. */
function sizeClass(bytes: number): number {
  const bits = Math.max(SMALLEST_BITS, 31 - Math.clz32(bytes - 1))
  const beyond = Math.max(0, bytes - (1 << bits))
  const step = bits - STEP_BITS
  return ((bits - SMALLEST_BITS) << STEP_BITS) + ((beyond + (1 << step) - 1) >> step)
}

function bytesOf(size: number): number {
  const bits = SMALLEST_BITS + (size >> STEP_BITS)
  return (1 << bits) + ((size & ((1 << STEP_BITS) - 1)) << (bits - STEP_BITS))
}
