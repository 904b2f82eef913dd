/**
 * Memory for messages that come in, and for packets that readers have in hand or that wait for the disk. Such a packet
 * lives for longer than the collector's young generation, and kept as it came it would hold all of the socket's read
 * that it came in. So it is unmasked or copied once, into memory that is used again. What is lent to a socket, which may
 * still write it, is never used again, but left to the collector.
 */
export interface Slab {
  readonly memory: Uint8Array
  /** Of `memory`, what the message or the packet takes. */
  length: number
  /** How many hold it: an entry for each recipient, sockets that may still write it, whoever reads the message. */
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

  /** Memory for so many bytes, held by nobody yet. What it held before is still there. */
  take(bytes: number): Slab {
    const size = sizeClass(bytes)
    let slab = this.#free[size]?.pop()
    if (slab === undefined) slab = { memory: new Uint8Array(bytesOf(size)), length: 0, holders: 0, isLent: false }
    else {
      this.#freeBytes -= slab.memory.length
      if (this.#freeBytes < this.#unusedBytes) this.#unusedBytes = this.#freeBytes
    }
    slab.length = bytes
    return slab
  }

  /** What nobody holds, in memory for so many bytes. */
  grow(slab: Slab, bytes: number): Slab {
    const larger = this.take(bytes)
    larger.memory.set(slab.memory.subarray(0, slab.length))
    slab.holders += 1
    this.release(slab)
    return larger
  }

  /** A copy, held by nobody yet. */
  copy(packet: Uint8Array): Slab {
    const slab = this.take(packet.length)
    slab.memory.set(packet)
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

/** Whether a packet can stay in the slab that its message came in: a copy of it would take about as much. */
export const isFilledBy = ({ memory }: Slab, packet: Uint8Array): boolean =>
  packet.buffer === memory.buffer && packet.length * 4 >= memory.length * 3

/** For the disk, which is done with it before its entry lets go of it. */
export const whole = ({ memory, length }: Slab): Uint8Array => memory.subarray(0, length)

/** For whoever may need it longer than its holders. */
export function lend(slab: Slab): Uint8Array {
  slab.isLent = true
  return whole(slab)
}

/** Counted from the smallest: the first that has room for so many. Shifts, since this runs for every packet. */
function sizeClass(bytes: number): number {
  const bits = bytes <= 1 << SMALLEST_BITS ? SMALLEST_BITS : 31 - Math.clz32(bytes - 1)
  const beyond = Math.max(0, bytes - (1 << bits))
  const step = bits - STEP_BITS
  return ((bits - SMALLEST_BITS) << STEP_BITS) + ((beyond + (1 << step) - 1) >> step)
}

function bytesOf(size: number): number {
  const bits = SMALLEST_BITS + (size >> STEP_BITS)
  return (1 << bits) + ((size & ((1 << STEP_BITS) - 1)) << (bits - STEP_BITS))
}
