/**
 * Memory for frames that leave at once. A frame of small packets is a copy that lives for one write: memory of its own
 * for each would be most of what the collector has to do. One turn's flushes share one piece of memory, and what the
 * kernel has taken is used again. What still waits in a socket keeps its place until that piece is full and left to
 * the collector.
 */
export class Scratch {
  #memory = fresh()
  #used = 0

  /** Memory for so many bytes, all of which will be written. */
  readonly allocate = (bytes: number): Uint8Array => {
    if (bytes > LARGE_BYTES) return Buffer.allocUnsafe(bytes)
    if (this.#used + bytes > SCRATCH_BYTES) {
      this.#memory = fresh()
      this.#used = 0
    }
    const at = this.#used
    this.#used += bytes
    return this.#memory.subarray(at, at + bytes)
  }

  /** Runs `write`, and takes back what it has allocated if it says that all of that has left. */
  during(write: () => boolean): void {
    const [memory, used] = [this.#memory, this.#used]
    if (!write()) return
    // What stood there before waits for somebody else.
    this.#used = this.#memory === memory ? used : 0
  }
}

/** What a busy connection is sent in one turn. One socket that waits may keep all of a piece. */
const SCRATCH_BYTES = 131_072
/** Twice a frame of small packets. */
const LARGE_BYTES = 32_768

const fresh = (): Buffer => Buffer.allocUnsafeSlow(SCRATCH_BYTES)
