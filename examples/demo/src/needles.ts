import { randomBytes } from 'node:crypto'
import { type Dirent, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Strings that occur nowhere else in the world; wherever they turn up, somebody wrote plaintext. */
export class Needles {
  readonly #planted: string[] = []

  /** A new one, lower case so that it can stand in a key as well. */
  plant(where: string): string {
    const needle = `needle-${where}-${randomBytes(8).toString('hex')}`
    this.#planted.push(needle)
    return needle
  }

  get count(): number {
    return this.#planted.length
  }

  /** Looks through every file below `folder`, and through `texts`, for each needle in each of its disguises. */
  search(folder: string, texts: readonly string[] = []): { bytes: number; found: string[] } {
    const paths = files(folder)
    // A file's name can give away as much as its content.
    const named = [...texts, paths.join('\n')].map((text) => Buffer.from(text))
    const haystacks = [...paths.map((path) => readFileSync(path)), ...named]
    const found = this.#planted.filter((needle) =>
      disguises(needle).some((disguise) => haystacks.some((hay) => hay.includes(disguise))),
    )
    return { bytes: haystacks.reduce((sum, hay) => sum + hay.length, 0), found }
  }
}

function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry: Dirent) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return files(path)
    return entry.isFile() ? [path] : []
  })
}

/**
 * Raw, hex in both cases, UTF-16, and base64 in both alphabets at each of its three alignments, less the characters
 * at the ends that depend on the neighbours.
 */
function disguises(needle: string): Buffer[] {
  const bytes = Buffer.from(needle)
  const hex = bytes.toString('hex')
  const base64 = [0, 1, 2].flatMap((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64')
    const middle = text.slice(shift === 0 ? 0 : shift + 1, Math.floor(((shift + bytes.length) * 8) / 6))
    return [middle, middle.replaceAll('+', '-').replaceAll('/', '_')]
  })
  return [needle, hex, hex.toUpperCase(), ...base64]
    .map((text) => Buffer.from(text))
    .concat(Buffer.from(needle, 'utf16le'))
}
