import { err, ok, type Result } from '@sealmesh/protocol/result'
import { parse, TomlError } from 'smol-toml'
import type { z } from 'zod'
import { closestTo } from './closest.ts'
import { type Position, Positions } from './positions.ts'
import { Config } from './schema.ts'

/** One thing that is wrong with a config: where, and what was expected there. */
export interface Problem extends Position {
  readonly path: string
  readonly message: string
}

/** A config file, read whole or refused with everything that is wrong with it. */
export function checkConfig(text: string): Result<Config, { code: 'CONFIG_INVALID'; problems: readonly Problem[] }> {
  let raw: unknown
  try {
    raw = parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    // Its own words, without the lines that it quotes: what is in the file may be none of the log's business.
    const message = (error.message.split('\n')[0] ?? '').replace(/^Invalid TOML document: /, 'not TOML: ')
    return err({ code: 'CONFIG_INVALID', problems: [{ line: error.line, column: error.column, path: '', message }] })
  }
  const checked = Config.safeParse(raw)
  if (checked.success) return ok(checked.data)
  const positions = new Positions(text)
  const problems = checked.error.issues.flatMap((issue) => problemsOf(issue, raw, positions))
  problems.sort((a, b) => a.line - b.line || a.column - b.column)
  return err({ code: 'CONFIG_INVALID', problems })
}

/** `3:13 node.log_level: expected one of debug, info, warn, error` */
export const inWords = ({ line, column, path, message }: Problem): string =>
  `${line}:${column} ${path === '' ? '' : `${path}: `}${message}`

function problemsOf(issue: z.core.$ZodIssue, raw: unknown, positions: Positions): Problem[] {
  const at = (path: readonly PropertyKey[], part: 'key' | 'value', message: string): Problem => ({
    ...positions.of(path, part),
    path: path.map(String).join('.'),
    message,
  })
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => {
        const known = keysAt(issue.path)
        const meant = closestTo(key, known)
        const hint = meant === undefined ? `expected one of ${known.join(', ')}` : `did you mean ${meant}?`
        return at([...issue.path, key], 'key', `unknown key, ${hint}`)
      })
    case 'invalid_key':
      return [at(issue.path, 'key', issue.issues[0]?.message ?? 'a name that cannot be used')]
    case 'invalid_value': {
      const values = issue.values.map(String)
      const given = valueAt(raw, issue.path)
      const meant = typeof given === 'string' ? closestTo(given, values) : undefined
      const hint = meant === undefined ? '' : `; did you mean ${meant}?`
      return [at(issue.path, 'value', `expected ${values.length > 1 ? 'one of ' : ''}${values.join(', ')}${hint}`)]
    }
    case 'invalid_type':
      return [at(issue.path, 'value', `expected ${TYPES[issue.expected] ?? issue.expected}`)]
    default:
      return [at(issue.path, issue.code === 'custom' ? 'key' : 'value', issue.message)]
  }
}

const TYPES: Readonly<Record<string, string>> = {
  object: 'a table',
  record: 'a table',
  array: 'a list',
  string: 'text',
}

/** The keys that the schema has at a path; `agents` may hold any name. */
function keysAt(path: readonly PropertyKey[]): string[] {
  if (path.length === 0) return Object.keys(Config.shape)
  if (path[0] === 'node') return Object.keys(Config.shape.node.unwrap().shape)
  return ['share', 'aliases']
}

function valueAt(raw: unknown, path: readonly PropertyKey[]): unknown {
  let value = raw
  for (const key of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key]
  return value
}
