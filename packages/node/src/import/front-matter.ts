/**
 * The block between two `---` lines that opens a note. Agents write a small part of YAML there: `key: text`, lists
 * and one level of nesting. That part is read, every scalar as a string (a version `1.10` is not a number); anything
 * else is kept as it stands under `unparsed`, so that nothing is lost to a parser.
 */
export type FrontMatter = Readonly<Record<string, FrontMatterValue>>
export type FrontMatterValue = string | readonly string[] | Readonly<Record<string, string | readonly string[]>>

export interface SplitNote {
  readonly frontMatter: FrontMatter | undefined
  readonly body: string
  /** The line in the file, from 1, where `body` begins. */
  readonly bodyLine: number
}

const KEY_LINE = /^([A-Za-z_][\w.-]*)\s*:(?:\s+(.*))?$/

export function splitFrontMatter(text: string): SplitNote {
  const lines = text.split('\n')
  const end =
    lines[0]?.trimEnd() === '---' ? lines.findIndex((line, at) => at > 0 && /^(?:---|\.\.\.)\s*$/.test(line)) : -1
  if (end < 0) return { frontMatter: undefined, body: text, bodyLine: 1 }
  return { frontMatter: parse(lines.slice(1, end)), body: lines.slice(end + 1).join('\n'), bodyLine: end + 2 }
}

function parse(lines: readonly string[]): FrontMatter {
  const entries: [string, FrontMatterValue][] = []
  for (let at = 0; at < lines.length; ) {
    const line = lines[at] ?? ''
    if (isBlank(line)) {
      at++
      continue
    }
    const match = KEY_LINE.exec(line.trimEnd())
    let next = at + 1
    while (next < lines.length && (isBlank(lines[next] ?? '') || /^(?:\s|-\s)/.test(lines[next] ?? ''))) next++
    const value = match ? readValue(match[2] ?? '', lines.slice(at + 1, next)) : undefined
    if (!match || value === undefined) return { unparsed: lines.join('\n') }
    entries.push([match[1] ?? '', value])
    at = next
  }
  // Own data properties only: a key named `__proto__` is just a key.
  return Object.fromEntries(entries)
}

/** `inline` follows the colon; `block` is what is indented below. Undefined: beyond what is read here. */
function readValue(inline: string, block: readonly string[]): FrontMatterValue | undefined {
  const below = block.filter((line) => !isBlank(line))
  if (/^[|>][-+]?$/.test(inline)) return below.map((line) => line.trim()).join(inline.startsWith('|') ? '\n' : ' ')
  if (/^[&*!{]/.test(inline)) return undefined
  if (inline.startsWith('[')) return below.length === 0 && inline.endsWith(']') ? flowList(inline) : undefined
  if (below.length === 0) return scalar(inline)
  if (inline !== '')
    return below.every((line) => /^\s/.test(line)) ? [inline, ...below].map((line) => line.trim()).join(' ') : undefined
  if (below.every((line) => /^\s*-\s/.test(line))) return below.map((line) => scalar(line.replace(/^\s*-\s+/, '')))
  const pairs = below.map((line) => KEY_LINE.exec(line.trim()))
  const indents = new Set(below.map((line) => line.length - line.trimStart().length))
  if (indents.size !== 1) return undefined
  const nested: [string, string | readonly string[]][] = []
  for (const pair of pairs) {
    const inner = pair?.[2] ?? ''
    if (!pair || /^[&*!{|>]/.test(inner)) return undefined
    nested.push([pair[1] ?? '', inner.startsWith('[') && inner.endsWith(']') ? flowList(inner) : scalar(inner)])
  }
  return Object.fromEntries(nested)
}

const flowList = (text: string): string[] =>
  text
    .slice(1, -1)
    .split(',')
    .map(scalar)
    .filter((item) => item !== '')

function scalar(text: string): string {
  const trimmed = text.trim()
  const quote = trimmed[0]
  if (trimmed.length > 1 && (quote === '"' || quote === "'") && trimmed.endsWith(quote)) return trimmed.slice(1, -1)
  return trimmed.replace(/\s+#.*$/, '')
}

const isBlank = (line: string): boolean => line.trim() === '' || line.trimStart().startsWith('#')
