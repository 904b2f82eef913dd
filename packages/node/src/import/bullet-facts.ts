import { HEADING_SLUG_MAX } from './limits.ts'

/** One bullet of a note, with what it stands under. */
export interface Fact {
  /** The bullet's words, continuation lines joined by a blank. */
  readonly text: string
  /** From the outermost heading inwards. */
  readonly headings: readonly string[]
  /** The bullets that it is nested in, outermost first. */
  readonly within: readonly string[]
  /** From 1, in the body. */
  readonly line: number
}

const HEADING = /^ {0,3}(#{1,6})\s+(\S.*)$/
const BULLET = /^(\s*)[-*+]\s+(\S.*)$/
const FENCE = /^\s*(`{3,}|~{3,})/
const RULE = /^\s*(?:[-*_]\s*){3,}$/
const STEP_OR_TABLE = /^\s*(?:\d+[.)]\s|\||>)/
/** A tab is as wide as a list's usual step; mixing both in one list still nests as it looks. */
const TAB = '    '

interface OpenFact {
  text: string
  readonly headings: readonly string[]
  readonly within: readonly string[]
  readonly line: number
  readonly indent: number
}

/** The bullets of a Markdown body, in order. Code fences, numbered steps and prose stay in the text alone. */
export function bulletFacts(body: string): Fact[] {
  const facts: OpenFact[] = []
  const headings: { level: number; text: string }[] = []
  /** The bullets that the next line may still belong to, outermost first. */
  let open: OpenFact[] = []
  let fence: string | undefined
  let afterBlank = true
  for (const [at, raw] of body.split('\n').entries()) {
    const line = raw.trimEnd().replaceAll('\t', TAB)
    const wasBlank = afterBlank
    afterBlank = line === ''
    const mark = FENCE.exec(line)?.[1]
    if (fence !== undefined) {
      if (mark?.startsWith(fence)) fence = undefined
      continue
    }
    if (mark !== undefined) {
      fence = mark
      continue
    }
    if (line === '') continue
    const heading = HEADING.exec(line)
    if (heading || RULE.test(line)) {
      open = []
      if (!heading) continue
      const level = heading[1]?.length ?? 1
      while ((headings.at(-1)?.level ?? 0) >= level) headings.pop()
      headings.push({ level, text: withoutClosingMarks(heading[2] ?? '') })
      continue
    }
    const bullet = BULLET.exec(line)
    if (bullet) {
      const indent = bullet[1]?.length ?? 0
      open = open.filter((outer) => outer.indent < indent)
      const within = open.map((outer) => outer.text)
      const fact = { text: bullet[2] ?? '', headings: headings.map(({ text }) => text), within, line: at + 1, indent }
      facts.push(fact)
      open.push(fact)
      continue
    }
    // Indented text goes on with its bullet; so does text at the margin right below one, as Markdown reads it.
    const indent = line.length - line.trimStart().length
    const owner = open.findLast((outer) => indent > outer.indent) ?? (wasBlank ? undefined : open.at(-1))
    if (owner === undefined) open = []
    else if (!STEP_OR_TABLE.test(line)) owner.text = `${owner.text} ${line.trim()}`
  }
  return facts.map(({ text, headings, within, line }) => ({ text, headings, within, line }))
}

/** `## Deploy ##` and `## Deploy` are one heading; `# C#` keeps its mark. */
function withoutClosingMarks(heading: string): string {
  let end = heading.length
  while (heading[end - 1] === '#') end--
  return end < heading.length && (end === 0 || heading[end - 1] === ' ') ? heading.slice(0, end).trim() : heading
}

/** A heading as it stands in an id: lower case, words joined by `-`, in whatever script. */
export function slugOf(heading: string): string {
  const slug = heading
    .normalize('NFC')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, '-')
    .replaceAll(/^-|-$/g, '')
  return Array.from(slug).slice(0, HEADING_SLUG_MAX).join('')
}
