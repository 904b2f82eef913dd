import { parse } from 'smol-toml'

export interface Position {
  readonly line: number
  readonly column: number
}

interface Place {
  readonly path: readonly string[]
  readonly key: Position
  readonly value: Position
}

/** Where a path of keys stands in a TOML text; the nearest key above it when it has no line of its own. */
export class Positions {
  readonly #places: Place[] = []

  constructor(text: string) {
    let table: readonly string[] = []
    let within: string | undefined
    for (const [index, line] of text.split(/\r?\n/).entries()) {
      if (within !== undefined) {
        // In a text of several lines: nothing is a key until it ends.
        if (line.includes(within)) within = undefined
        continue
      }
      const start = line.search(/\S/)
      if (start === -1 || line[start] === '#') continue
      const at = (column: number): Position => ({ line: index + 1, column: column + 1 })
      if (line[start] === '[') {
        const path = keysOf(line.slice(start).replace(/^\[\[/, '[').replace(/\]\]/, ']'))
        if (path === undefined) continue
        table = path
        const key = at(line.search(/[^\s[]/))
        this.#places.push({ path, key, value: key })
        continue
      }
      const equals = endOfKey(line)
      const path = equals === undefined ? undefined : keysOf(`${line.slice(0, equals)} = 0`)
      if (equals === undefined || path === undefined) continue
      const rest = line.slice(equals + 1)
      const value = equals + 1 + Math.max(0, rest.search(/\S/))
      this.#places.push({ path: [...table, ...path], key: at(start), value: at(value) })
      within = ['"""', "'''"].find((mark) => rest.trimStart().startsWith(mark) && rest.split(mark).length === 2)
    }
  }

  of(path: readonly PropertyKey[], part: 'key' | 'value'): Position {
    const wanted = path.map(String)
    for (let length = wanted.length; length > 0; length--) {
      const place = this.#places.find(
        (each) => each.path.length >= length && wanted.slice(0, length).every((key, at) => each.path[at] === key),
      )
      // A key that stands for more than what was asked for says where that begins; only a whole one has a value.
      if (place !== undefined) return part === 'value' && place.path.length <= wanted.length ? place.value : place.key
    }
    return { line: 1, column: 1 }
  }
}

/** The `=` after a key: the first that no quotes hold. */
function endOfKey(line: string): number | undefined {
  let quote: string | undefined
  for (let i = 0; i < line.length; i++) {
    const character = line[i]
    if (quote !== undefined) {
      if (character === '\\' && quote === '"') i++
      else if (character === quote) quote = undefined
    } else if (character === '"' || character === "'") quote = character
    else if (character === '=') return i
    else if (character === '#') return undefined
  }
  return undefined
}

/** The keys that a line of TOML names, as the parser itself reads them. */
function keysOf(line: string): string[] | undefined {
  try {
    const keys: string[] = []
    let inside: unknown = parse(line)
    while (typeof inside === 'object' && inside !== null) {
      const [key] = Object.keys(inside)
      if (key === undefined) break
      keys.push(key)
      inside = (inside as Record<string, unknown>)[key]
    }
    return keys
  } catch {
    return undefined // A line within a list of several lines.
  }
}
