import { isDeepStrictEqual } from 'node:util'
import { patch } from '@decimalturn/toml-patch'
import { applyEdits, format, modify, parse as parseJsonc, type ParseError } from 'jsonc-parser'
import { parse as parseToml } from 'smol-toml'
import type { ConfigPlace } from './clients.ts'

/** One server in another program's configuration: put in and taken out, with everything else left as it was typed. */

export interface ServerEntry {
  readonly command: string
  readonly args: readonly string[]
}

type Shape = Pick<ConfigPlace, 'format' | 'table'>
type Tables = Record<string, unknown>

/** What some editors put before a text. It stays where it is. */
const BOM = '\uFEFF'

/** Undefined when the text is not of its format: what cannot be read is not edited. */
export function entriesOf(text: string, { format, table }: Shape): Readonly<Tables> | undefined {
  const all = parsed(withoutBom(text), format)
  if (all === undefined) return undefined
  const entries = all[table] ?? {}
  return isTable(entries) ? entries : undefined
}

/** The text with this entry, new or replaced; undefined when it cannot be done without touching something else. */
export function withEntry(given: string, shape: Shape, name: string, entry: ServerEntry): string | undefined {
  const text = withoutBom(given)
  const value = { command: entry.command, args: [...entry.args] }
  const entries = entriesOf(text, shape)
  if (entries === undefined) return undefined
  const after =
    shape.format === 'json'
      ? jsonWith(text, [shape.table, name], value)
      : Object.hasOwn(entries, name)
        ? tomlWith(text, shape.table, name, value)
        : appended(text, shape.table, name, value)
  return bomOf(given, checked(text, after, shape, { ...entries, [name]: value }))
}

export function withoutEntry(given: string, shape: Shape, name: string): string | undefined {
  const text = withoutBom(given)
  const entries = entriesOf(text, shape)
  if (entries === undefined) return undefined
  if (!Object.hasOwn(entries, name)) return given
  const { [name]: _, ...rest } = entries
  const after =
    shape.format === 'json' ? jsonWith(text, [shape.table, name], undefined) : tomlWith(text, shape.table, name)
  return bomOf(given, checked(text, after, shape, rest))
}

const withoutBom = (text: string): string => (text.startsWith(BOM) ? text.slice(1) : text)
const bomOf = (given: string, text: string | undefined): string | undefined =>
  text !== undefined && given.startsWith(BOM) ? BOM + text : text

/** Whatever wrote it: the entries are what they should be, and nothing else has changed. */
function checked(before: string, after: string, { format, table }: Shape, entries: Tables): string | undefined {
  const [was, is] = [parsed(before, format), parsed(after, format)]
  if (was === undefined || is === undefined) return undefined
  const without = (all: Tables): Tables => Object.fromEntries(Object.entries(all).filter(([key]) => key !== table))
  const same = isDeepStrictEqual(plain(without(was)), plain(without(is)))
  return same && isDeepStrictEqual(plain(is[table] ?? {}), plain(entries)) ? after : undefined
}

function jsonWith(text: string, keys: string[], value: unknown): string {
  const from = text.trim() === '' ? '{}\n' : text
  const formattingOptions = { insertSpaces: !/^\t/m.test(from), tabSize: indentOf(from), eol: eolOf(from) }
  // Not by `modify` itself: it lays out whole lines, and with them what the entry's neighbours have on them.
  return modify(from, keys, value, {}).reduce((raw, edit) => {
    const next = applyEdits(raw, [edit])
    const [start, end] = [edit.offset, edit.offset + edit.content.length]
    // One character more on each side: blanks that only touch the range are not laid out.
    const layout = format(next, { offset: start - 1, length: end - start + 2 }, formattingOptions)
    // Of the blanks around it those that hold a line break stay as their owner put them.
    const ours = layout.filter(
      ({ offset, length }) =>
        offset <= end &&
        offset + length >= start &&
        ((offset >= start && offset + length <= end) || !/[\r\n]/.test(next.slice(offset, offset + length))),
    )
    return applyEdits(next, ours)
  }, from)
}

/** At the end, under a header of its own: nothing that is there moves. */
function appended(text: string, table: string, name: string, { command, args }: ServerEntry): string {
  const eol = eolOf(text)
  const gap = text === '' ? '' : text.endsWith('\n') ? eol : eol + eol
  // JSON's strings are strings of TOML.
  const lines = [
    `[${table}.${name}]`,
    `command = ${JSON.stringify(command)}`,
    `args = [${args.map((each) => JSON.stringify(each)).join(', ')}]`,
  ]
  return text + gap + lines.map((line) => line + eol).join('')
}

function tomlWith(text: string, table: string, name: string, value?: Tables): string {
  const all = structuredClone(parseToml(text)) as Tables
  const entries = { ...(all[table] as Tables) }
  if (value === undefined) delete entries[name]
  else entries[name] = value
  if (Object.keys(entries).length > 0) all[table] = entries
  else delete all[table]
  return withOwnEndings(text, (lines) => patch(lines, all))
}

/** The edit makes all line endings one; those of lines that it leaves alone stay what they were. */
function withOwnEndings(text: string, edit: (text: string) => string): string {
  if (!text.includes('\r\n')) return edit(text)
  const before = text.split('\n')
  const was = before.map((line) => line.replace(/\r$/, ''))
  const is = edit(was.join('\n')).split('\n')
  const most = Math.min(was.length, is.length)
  let head = 0
  while (head < most && was[head] === is[head]) head += 1
  let tail = 0
  while (tail < most - head && was[was.length - 1 - tail] === is[is.length - 1 - tail]) tail += 1
  // Behind the last line nothing ends.
  const fresh = is.slice(head, is.length - tail).map((line, at) => (head + at === is.length - 1 ? line : `${line}\r`))
  return [...before.slice(0, head), ...fresh, ...before.slice(before.length - tail)].join('\n')
}

function parsed(text: string, format: Shape['format']): Tables | undefined {
  if (format === 'toml') {
    try {
      return parseToml(text)
    } catch {
      return undefined
    }
  }
  const errors: ParseError[] = []
  const value: unknown = text.trim() === '' ? {} : parseJsonc(text, errors, { allowTrailingComma: true })
  return errors.length === 0 && isTable(value) ? value : undefined
}

const isTable = (value: unknown): value is Tables =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
/** Without the prototypes that parsers give. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
const indentOf = (text: string): number => /^( +)\S/m.exec(text)?.[1]?.length ?? 2
const eolOf = (text: string): string => (text.includes('\r\n') ? '\r\n' : '\n')
