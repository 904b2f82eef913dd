import { patch } from '@decimalturn/toml-patch'
import { Failure } from '@sealmesh/protocol/errors'
import { parse } from 'smol-toml'
import { checkConfig, inWords } from './check.ts'

/** How a config begins. The first line tells editors where its schema is: taplo, Even Better TOML. */
export const NEW_CONFIG = `#:schema ./config.schema.json
# Settings of this Sealmesh node. What is wrong with them: sealmesh config check
`

type Table = Record<string, unknown>

/** The text with one value changed, comments and order kept; refused when the schema does not take it. */
export function withValue(text: string, key: string, value: string): string {
  return changed(text, keysOf(key), valueOf(value))
}

/** The text without a key. */
export const withoutValue = (text: string, key: string): string => changed(text, keysOf(key), undefined)

function changed(text: string, keys: readonly string[], value: unknown): string {
  const before = checkedTable(text)
  const after = structuredClone(before)
  let table: Table = after
  for (const key of keys.slice(0, -1)) {
    const inside = Object.hasOwn(table, key) ? table[key] : undefined
    if (typeof inside === 'object' && inside !== null && !Array.isArray(inside)) table = inside as Table
    else if (value === undefined) throw notThere(keys)
    else table = table[key] = {}
  }
  const last = keys.at(-1) ?? ''
  if (value !== undefined) table[last] = value
  else if (Object.hasOwn(table, last)) delete table[last]
  else throw notThere(keys)
  // Tables down to that of an agent's sharing get headers of their own.
  const written = patch(text, after, { inlineTableStart: 4 })
  const checked = checkConfig(written)
  if (checked.ok) return written
  const problems = checked.error.problems.map((problem) =>
    problem.path === '' ? inWords(problem) : `${problem.path}: ${problem.message}`,
  )
  throw new Failure('CONFIG_INVALID', `That is not taken, and nothing was changed.\n${problems.join('\n')}`, {
    next: 'sealmesh config schema',
  })
}

/** A file that is wrong already is not edited by program: nobody could say what of it would stay. */
function checkedTable(text: string): Table {
  const checked = checkConfig(text)
  if (checked.ok) return parse(text)
  const problems = checked.error.problems.map(inWords)
  throw new Failure('CONFIG_INVALID', `The config is wrong already.\n${problems.join('\n')}`, {
    next: 'sealmesh config edit',
  })
}

const notThere = (keys: readonly string[]): Failure =>
  new Failure('USAGE', `The config does not say ${keys.join('.')}.`, { next: 'sealmesh config show' })

/** `agents.claude.share.semantic`: the parser reads it, so that quoted keys may hold dots. */
function keysOf(key: string): string[] {
  try {
    const keys: string[] = []
    for (let inside: unknown = parse(`${key} = 0`); typeof inside === 'object' && inside !== null; ) {
      const [first = ''] = Object.keys(inside)
      keys.push(first)
      inside = (inside as Table)[first]
    }
    if (keys.length > 0 && !key.includes('\n')) return keys
  } catch {
    // Said below.
  }
  throw new Failure('USAGE', 'That is not a key, such as node.log_level.', { next: 'sealmesh config schema' })
}

/** A value of TOML where it is one, such as a list; else the word itself. */
function valueOf(text: string): unknown {
  try {
    return parse(`value = ${text}`)['value']
  } catch {
    return text
  }
}
