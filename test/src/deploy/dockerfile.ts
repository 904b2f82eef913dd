/** One instruction of a Dockerfile, with the stage that it is in. */
export interface Instruction {
  readonly stage: number
  readonly name: string
  readonly text: string
  /** The command of a HEALTHCHECK, ENTRYPOINT or CMD that is written as a list; empty otherwise. */
  readonly words: readonly string[]
}

export function readDockerfile(text: string): Instruction[] {
  const lines = text.replace(/\\\n/g, ' ').split('\n')
  let stage = -1
  return lines.flatMap((line) => {
    const [, name, rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
    if (name === undefined) return []
    if (name === 'FROM') stage++
    const list = /\[.*\]$/.exec(rest)?.[0]
    return [{ stage, name, text: rest, words: list === undefined ? [] : (JSON.parse(list) as string[]) }]
  })
}
