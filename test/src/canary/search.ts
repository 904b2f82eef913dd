/**
 * Finds any of many planted strings in bytes: as they are, in hexadecimal of either case, and in base64 of either
 * alphabet at each of the three places that a string can have in a base64 stream.
 */

const PREFIX_BYTES = 4
const FILTER_BITS = 20

export interface Needle {
  readonly planted: string
  readonly form: string
  readonly bytes: Buffer
}

export interface Found {
  readonly planted: string
  readonly form: string
}

export class Search {
  readonly #byPrefix = new Map<number, Needle[]>()
  /** Most positions match no needle: one look here says so. */
  readonly #filter = new Uint8Array(1 << FILTER_BITS)
  readonly size: number

  /** Text is searched for as its UTF-8 bytes; `raw` are bytes with a name, such as ids. */
  constructor(planted: Iterable<string>, raw: Iterable<readonly [name: string, bytes: Uint8Array]> = []) {
    const needles = new Map<string, Needle>()
    const add = (name: string, bytes: Uint8Array) => {
      for (const needle of formsOf(name, Buffer.from(bytes))) needles.set(needle.bytes.toString('latin1'), needle)
    }
    for (const text of planted) add(text, Buffer.from(text, 'utf8'))
    for (const [name, bytes] of raw) add(name, bytes)
    for (const needle of needles.values()) {
      if (needle.bytes.length < 2 * PREFIX_BYTES) throw new Error(`${needle.planted} is too short to search for`)
      const prefix = needle.bytes.readUInt32LE(0)
      this.#filter[slot(prefix)] = 1
      this.#byPrefix.set(prefix, [...(this.#byPrefix.get(prefix) ?? []), needle])
    }
    this.size = needles.size
  }

  /** Each planted string once for each form in which it is there. */
  in(bytes: Buffer): Found[] {
    const found = new Map<string, Found>()
    for (let at = 0; at + PREFIX_BYTES <= bytes.length; at++) {
      const prefix = bytes.readUInt32LE(at)
      if (this.#filter[slot(prefix)] === 0) continue
      for (const { planted, form, bytes: needle } of this.#byPrefix.get(prefix) ?? [])
        if (bytes.subarray(at, at + needle.length).equals(needle)) found.set(`${form} ${planted}`, { planted, form })
    }
    return [...found.values()]
  }
}

const slot = (prefix: number): number => Math.imul(prefix, 0x9e3779b1) >>> (32 - FILTER_BITS)

function formsOf(planted: string, bytes: Buffer): Needle[] {
  const text = (form: string, characters: string): Needle => ({
    planted,
    form,
    bytes: Buffer.from(characters, 'latin1'),
  })
  const hex = bytes.toString('hex')
  return [
    { planted, form: 'raw', bytes },
    text('hex', hex),
    text('HEX', hex.toUpperCase()),
    ...[0, 1, 2].flatMap((before) => {
      const characters = base64Inside(bytes, before)
      return [
        text(`base64+${before}`, characters),
        text(`base64url+${before}`, characters.replaceAll('+', '-').replaceAll('/', '_')),
      ]
    }),
  ]
}

/** The characters that depend on these bytes alone, when `before` bytes of the same group of three stand before them. */
function base64Inside(bytes: Buffer, before: number): string {
  const whole = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64')
  return whole.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6))
}
