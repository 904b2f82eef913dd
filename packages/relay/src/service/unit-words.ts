import { Failure } from '@sealmesh/protocol/errors'

const PLAIN = /^[A-Za-z0-9_@:=,./+-]+$/
const NEXT = { next: 'sealmesh-relay service install --help' }

/**
 * Words as systemd splits a command line: what it would take apart or expand is quoted. Throws USAGE for control
 * characters, which no line of a unit can hold.
 */
export function unitWords(words: readonly string[]): string {
  return words.map(unitWord).join(' ')
}

function unitWord(word: string): string {
  if (/\p{Cc}/u.test(word)) throw new Failure('USAGE', 'A control character cannot stand in a unit.', NEXT)
  if (PLAIN.test(word)) return word
  // `%` begins a specifier and `$` a variable, inside quotes as well; a function's result is taken as it is.
  const expanded = word.replaceAll('%', '%%').replaceAll('$', () => '$$')
  return `"${expanded.replace(/[\\"]/g, '\\$&')}"`
}

/** A path as it stands outside of command lines, where each setting has quotes of its own or none. */
export function unitPath(path: string): string {
  if (path.startsWith('/') && PLAIN.test(path) && !path.includes(':')) return path
  throw new Failure('USAGE', `A unit names whole paths of plain characters only, which this is not: ${path}.`, NEXT)
}
