import { Failure, type FailureCode, reactions } from '@sealmesh/protocol/errors'

/** What the command line knows and the table of reactions does not. */
export interface Known {
  /** A command for the same home, to paste. */
  readonly command: (words: string) => string
  /** The agent that the command line named, or `AGENT`. */
  readonly agent: string
}

/** Steps that are commands for this machine get its home; those for another one get the agent's name only. */
const nextSteps: Partial<Record<FailureCode, (known: Known) => string>> = {
  NODE_NOT_RUNNING: ({ command }) => command('up'),
  NOT_THE_HOLDER: ({ command, agent }) => `${command(`takeover ${agent}`)} moves the term here`,
  FENCED: ({ command, agent }) =>
    `${command(`failover status ${agent}`)} says what is missing; once this node may act again it writes again`,
  WITNESS_NEEDED: ({ command }) => `${command('witness set')}, on an admin node`,
  TERM_NOT_HIGHER: ({ command, agent }) => `${command(`takeover ${agent}`)} again: somebody else was faster`,
  NOT_A_HOST: ({ agent }) => `name this node on the holder: sealmesh agents add ${agent} --standby NODE`,
  NOT_A_WRITER: ({ command }) => `${command('share ls')} shows who may write this layer`,
  VALUE_TOO_LARGE: ({ command }) => `keep it as a text: ${command('text edit UMR --file FILE')}`,
  AGENT_UNKNOWN: ({ command }) => command('agents ls'),
  NODE_UNKNOWN: ({ command }) => command('status'),
  ITEM_NOT_FOUND: ({ command }) => command('ls'),
  CONFLICT_NOT_FOUND: ({ command }) => command('conflicts ls'),
  BLOCK_NOT_FOUND: ({ command }) => command('late ls'),
  HOME_IN_USE: ({ command }) => `${command('down')}, or use another: --home DIR`,
}

/** The same failure with the table's next step made exact; one that has a better step already is left as it is. */
export function withKnown(failure: Failure, known: Known): Failure {
  if (!Object.hasOwn(reactions, failure.code) || failure.next !== reactions[failure.code].next) return failure
  const next = nextSteps[failure.code]
  if (next === undefined) return failure
  return new Failure(failure.code, failure.message, { cause: failure.cause, next: next(known) })
}
