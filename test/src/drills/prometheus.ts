import { compareText } from '@sealmesh/protocol/bytes'
/** A reader of Prometheus's text format that takes nothing else. */

export interface Series {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)/

export function parseMetrics(text: string): Series[] {
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  const helped = new Set<string>()
  const typed = new Map<string, string>()
  const ended = new Set<string>()
  const seen = new Set<string>()
  const all: Series[] = []
  let current = ''
  for (const line of text.slice(0, -1).split('\n')) {
    const [, word, about, rest] = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`).exec(line) ?? []
    if (about !== undefined && rest !== undefined) {
      if (about !== current) ended.add(current)
      if (ended.has(about)) throw new Error(`the family ${about} is in two places`)
      current = about
      if (word === 'HELP' && helped.has(about)) throw new Error(`${about} is explained twice`)
      if (word === 'HELP') helped.add(about)
      else typed.set(about, rest)
      continue
    }
    const [, name, , inner = '', value] = new RegExp(`^(${NAME})(\\{(.*)\\})? (\\S+)$`).exec(line) ?? []
    if (name === undefined || value === undefined) throw new Error(`no line of the format: ${line}`)
    if (name !== current || typed.get(name) !== 'gauge' || !helped.has(name)) throw new Error(`${name} has no family`)
    const labels = labelsOf(inner)
    const key = `${name}${JSON.stringify(Object.entries(labels).toSorted(([a], [b]) => compareText(a, b)))}`
    if (seen.has(key)) throw new Error(`twice: ${line}`)
    seen.add(key)
    if (!/^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(value)) throw new Error(`no number: ${line}`)
    all.push({ name, labels, value: Number(value) })
  }
  return all
}

function labelsOf(inner: string): Record<string, string> {
  const labels: Record<string, string> = {}
  for (let rest = inner; rest !== ''; ) {
    const found = LABEL.exec(rest)
    if (found === null) throw new Error(`no labels: ${inner}`)
    const [all, name = '', value = ''] = found
    labels[name] = value.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped))
    rest = rest.slice(all.length)
  }
  return labels
}
