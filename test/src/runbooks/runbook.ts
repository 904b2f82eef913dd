/**
 * The commands of a runbook, in order. What is run is fenced as `sh` and the machine that it is typed on; a `text` fence
 * after it shows what that prints, in part: each line is looked for in order, and `…` stands for anything. A comment
 * `<!-- test: WHAT MACHINE -->` is what happens to a machine and nobody types.
 */
export type Step =
  | {
      readonly type: 'run'
      readonly machine: string
      /** It stays: a program in a terminal of its own. */
      readonly stays: boolean
      readonly commands: string
      readonly shows: readonly string[]
      readonly line: number
    }
  | { readonly type: 'happens'; readonly what: string; readonly machine: string; readonly line: number }

const HAPPENS = /^<!-- test: ([a-z]+) ([a-z-]+) -->$/
const FENCE = /^\s*```(\w*) ?(.*)$/

export function stepsOf(markdown: string): Step[] {
  const steps: Step[] = []
  const lines = markdown.split('\n')
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? ''
    const happens = HAPPENS.exec(line.trim())
    if (happens !== null) {
      steps.push({ type: 'happens', what: happens[1] ?? '', machine: happens[2] ?? '', line: at + 1 })
      continue
    }
    const fence = FENCE.exec(line)
    if (fence === null) continue
    const end = lines.findIndex((each, i) => i > at && each.trim() === '```')
    if (end < 0) throw new Error(`line ${at + 1}: a fence that does not end`)
    const body = lines.slice(at + 1, end).map((each) => each.trimEnd())
    const [language, words] = [fence[1], (fence[2] ?? '').split(' ').filter((word) => word !== '')]
    if (language === 'sh') {
      const [machine = '', ...more] = words
      if (machine === '') throw new Error(`line ${at + 1}: on which machine?`)
      const commands = body.map((each) => each.trim()).join('\n')
      steps.push({ type: 'run', machine, stays: more.includes('stays'), commands, shows: [], line: at + 1 })
    } else if (language === 'text') {
      const last = steps.at(-1)
      if (last?.type !== 'run') throw new Error(`line ${at + 1}: the output of what?`)
      steps[steps.length - 1] = { ...last, shows: body.map((each) => each.trim()).filter((each) => each !== '') }
    } else throw new Error(`line ${at + 1}: commands are \`sh\`, what they print is \`text\``)
    at = end
  }
  return steps
}

/** The first line that the output lacks, or has not after those before it; undefined when all are there. */
export function missingIn(output: string, shows: readonly string[]): string | undefined {
  let rest = output.replaceAll(/[ \t]+/g, ' ')
  for (const line of shows) {
    const parts = line.replaceAll(/[ \t]+/g, ' ').split('…')
    const found = new RegExp(parts.map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*?')).exec(rest)
    if (found === null) return line
    rest = rest.slice(found.index + found[0].length)
  }
  return undefined
}
