import { execFileSync } from 'node:child_process'

/** The settings of a unit, each with its values in order; comments and sections are left out. */
export type UnitFile = ReadonlyMap<string, readonly string[]>

export function readUnitFile(text: string): UnitFile {
  const settings = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const at = line.indexOf('=')
    if (line.startsWith('#') || at < 0) continue
    const name = line.slice(0, at)
    settings.set(name, [...(settings.get(name) ?? []), line.slice(at + 1)])
  }
  return settings
}

export const settingOf = (unit: UnitFile, name: string): string | undefined => unit.get(name)?.at(-1)

/** The system calls that the unit's filter leaves, with its groups as this machine's systemd knows them. */
export function allowedCalls(unit: UnitFile): ReadonlySet<string> {
  const allowed = new Set<string>()
  for (const line of unit.get('SystemCallFilter') ?? []) {
    const removes = line.startsWith('~')
    for (const word of line.replace(/^~/, '').split(' '))
      for (const call of expanded(word)) {
        if (removes) allowed.delete(call)
        else allowed.add(call)
      }
  }
  // Whatever the filter says, these stay: a process could not even end without them.
  for (const call of expanded('@default')) allowed.add(call)
  return allowed
}

function expanded(word: string): string[] {
  if (!word.startsWith('@')) return [word]
  const text = execFileSync('systemd-analyze', ['--no-pager', 'syscall-filter', word], { encoding: 'utf8' })
  const words = text
    .split('\n')
    .slice(1)
    .map((line) => line.trim())
  return words.filter((each) => each !== '' && !each.startsWith('#')).flatMap(expanded)
}
