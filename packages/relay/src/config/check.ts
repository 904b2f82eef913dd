import { err, ok, type Result } from '@sealmesh/protocol/result'
import { parse, TomlError } from 'smol-toml'
import type { z } from 'zod'
import { Config } from './schema.ts'

/** One thing that is wrong with a config: where, and what was expected there. */
export interface Problem {
  readonly line: number
  /** `limits.mailbox_bytes_max`; empty when the text is no TOML. */
  readonly key: string
  readonly message: string
}

/** A config read whole, or everything that is wrong with it, in the order of the file. */
export function checkConfig(text: string): Result<Config, readonly Problem[]> {
  let raw: unknown
  try {
    raw = parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    // Its own words, without the lines that it quotes: what is in the file may be none of the log's business.
    const message = (error.message.split('\n')[0] ?? '').replace(/^Invalid TOML document: /, 'not TOML: ')
    return err([{ line: error.line, key: '', message }])
  }
  const checked = Config.safeParse(raw)
  if (checked.success) return ok(checked.data)
  const problems = checked.error.issues.flatMap((issue) => problemsOf(issue, text))
  return err(problems.toSorted((a, b) => a.line - b.line))
}

/** `7 limits.mailbox_bytes_max: expected …` */
export const inWords = ({ line, key, message }: Problem): string => `${line} ${key === '' ? '' : `${key}: `}${message}`

function problemsOf(issue: z.core.$ZodIssue, text: string): Problem[] {
  const at = (path: readonly PropertyKey[], message: string): Problem => {
    const key = path.map(String)
    return { line: lineOf(text, key), key: key.join('.'), message }
  }
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) =>
        at([...issue.path, key], `unknown key, expected one of ${keysAt(issue.path).join(', ')}`),
      )
    case 'invalid_value':
      return [at(issue.path, `expected one of ${issue.values.map(String).join(', ')}`)]
    case 'invalid_type':
      // Where the schema has words of its own, they say more.
      if (issue.message.startsWith('expected')) return [at(issue.path, issue.message)]
      return [at(issue.path, `expected ${issue.expected === 'object' ? 'a table' : issue.expected}`)]
    default:
      return [at(issue.path, issue.message)]
  }
}

function keysAt(path: readonly PropertyKey[]): string[] {
  const section = path[0] as keyof typeof Config.shape | undefined
  return Object.keys(section === undefined ? Config.shape : Config.shape[section].unwrap().shape)
}

/** Where a key of a section stands; the section's own line for one that is written in another way, else the first. */
function lineOf(text: string, [section = '', key]: readonly string[]): number {
  let within = ''
  let header = 1
  for (const [index, line] of text.split('\n').entries()) {
    const table = /^\s*\[\s*"?([\w-]+)"?\s*\]/.exec(line)?.[1]
    const name = /^\s*"?([\w-]+)"?\s*[=.]/.exec(line)?.[1]
    if (table !== undefined) within = table
    if (table === section || (within === '' && name === section)) header = index + 1
    if (within === section && name !== undefined && name === key) return index + 1
  }
  return header
}
