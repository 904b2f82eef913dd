import { createInterface } from 'node:readline/promises'
import { Failure } from '@sealmesh/protocol/errors'
import { printable } from './printable.ts'
import type { Session } from './session.ts'
import { canAsk } from './terminal.ts'

/** Refuses when nobody can be asked: a script has to say `--yes` itself. `what` names the act. */
export function requirePerson(session: Session, what: string, again: string): void {
  if (canAsk(session.terminal)) return
  throw new Failure('USAGE', `${what} wants a yes, and there is no terminal to ask at.`, {
    next: session.command(again),
  })
}

/** Asks on the terminal; anything but y or yes means no. Ctrl-C ends the question. */
export async function ask(session: Session, question: string): Promise<boolean> {
  const { stdin, stderr } = session.terminal
  const reader = createInterface({ input: stdin, output: stderr, terminal: true })
  // Ctrl-C reaches the line editor, not the process, while it reads.
  const interrupted = new AbortController()
  reader.on('SIGINT', () => interrupted.abort())
  try {
    const signal = AbortSignal.any([session.signal, interrupted.signal])
    const answer = await reader.question(`${printable(question)} [y/N] `, { signal })
    return /^y(es)?$/i.test(answer.trim())
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') return false
    throw error
  } finally {
    reader.close()
  }
}
