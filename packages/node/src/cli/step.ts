import { oneLine } from './printable.ts'
import type { Session } from './session.ts'

/** A next step that the node named: where it is a command for this machine, with this home, to paste. */
export const atHome = ({ command }: Pick<Session, 'command'>, next: string): string =>
  next.startsWith('sealmesh ') && !next.includes(' moves ')
    ? command(oneLine(next.slice('sealmesh '.length)))
    : oneLine(next)
