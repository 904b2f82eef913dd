/** Reads LevelDB's numbers and runs from bytes that may be damaged: undefined beyond the end, never a throw. */
export class Bytes {
  readonly #bytes: Uint8Array
  readonly #end: number
  at: number

  constructor(bytes: Uint8Array, at = 0, end: number = bytes.length) {
    this.#bytes = bytes
    this.at = at
    this.#end = end
  }

  get done(): boolean {
    return this.at >= this.#end
  }

  byte(): number | undefined {
    return this.at < this.#end ? this.#bytes[this.at++] : undefined
  }

  /** Exact up to 2^53; what is larger is damage. */
  varint(): number | undefined {
    let value = 0
    for (let scale = 1, length = 0; length < 8; scale *= 128, length++) {
      const byte = this.byte()
      if (byte === undefined) return undefined
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
    return undefined
  }

  run(length: number | undefined): Uint8Array | undefined {
    if (length === undefined || length > this.#end - this.at) return undefined
    this.at += length
    return this.#bytes.subarray(this.at - length, this.at)
  }
}

/** LevelDB's 64-bit little-endian numbers; its sequences stay below 2^53 for longer than anybody writes. */
export function uint64At(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32
}
