import { Failure, type FailureCode, reactions } from '@sealmesh/protocol/errors'
import { CommanderError } from 'commander'
import { printable } from './printable.ts'

/** What a shell gives a command that Ctrl-C ended. */
export const INTERRUPTED_EXIT = 130

/** The one translation of everything that a verb may throw; undefined for `--help` and `--version`, which are no failures. */
export function failureOf(thrown: unknown, verb: string): Failure | undefined {
  const help = verb === '' ? 'sealmesh help' : `sealmesh ${verb} --help`
  if (thrown instanceof Failure) {
    // Whoever threw it may not know which verb asked.
    if (thrown.code !== 'USAGE' || thrown.next !== reactions.USAGE.next) return thrown
    return new Failure('USAGE', thrown.message, { cause: thrown.cause, next: help })
  }
  if (thrown instanceof CommanderError) {
    if (thrown.exitCode === 0) return undefined
    // Help that was not asked for has been printed already; commander calls that message `(outputHelp)`.
    const message = thrown.code === 'commander.help' ? 'which of these?' : thrown.message.replace(/^error: /, '')
    const sentence = message.charAt(0).toUpperCase() + message.slice(1)
    return new Failure('USAGE', /[.)?]$/.test(sentence) ? sentence : `${sentence}.`, { next: help })
  }
  const what = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : 'something that is no error was thrown'
  return new Failure('INTERNAL', `The command broke. ${what}`, {
    cause: thrown,
    next: 'report it, with what SEALMESH_DEBUG=1 before the command adds',
  })
}

export const exitOf = (code: FailureCode): number => reactions[code].exit

/** As `--json` prints it: one line on stderr. */
export const failureJson = (failure: Failure): string =>
  JSON.stringify({
    error: {
      code: failure.code,
      message: failure.message,
      next: failure.next,
      retry: reactions[failure.code].retry,
      exit: reactions[failure.code].exit,
    },
  })

/** As people read it: what happened in the first line, why in the next ones, and what to do in the last. */
export function failureLines(failure: Failure): { what: string; more: string[] } {
  const [what = '', ...why] = printable(failure.message).split('\n')
  return {
    what,
    more: [
      ...why.filter((line) => line.trim() !== '').map((line) => `  ${line}`),
      `  next: ${printable(failure.next)}`,
    ],
  }
}
