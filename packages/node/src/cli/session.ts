import { Failure } from '@sealmesh/protocol/errors'
import { isName } from '@sealmesh/protocol/ids'
import type { Command } from 'commander'
import { connectDoor, type DoorClient } from '../ipc/client.ts'
import { type Home, resolveHome } from '../keys/home.ts'
import { shellWord } from '../keys/modes.ts'
import { findSocket } from '../keys/socket-path.ts'
import { withKnown } from './next-step.ts'
import { Output } from './output.ts'
import type { Terminal } from './terminal.ts'

/** What every verb is given. */
export interface Cli {
  readonly terminal: Terminal
  /** Aborted by Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal
}

/** One verb at work: where its home is and how it speaks. */
export interface Session extends Cli {
  readonly home: Home
  readonly output: Output
  /** A command for the same home, to paste. */
  readonly command: (words: string) => string
  /** The agent that the next steps of a failure name; a verb that finds it out later says so here. */
  readonly subject: { agent: string | undefined }
}

export interface DoorSession extends Session {
  readonly door: DoorClient
}

type Action<S, Args extends unknown[]> = (session: S, ...args: Args) => Promise<void>

/** For verbs that need no running node. The arguments are the verb's own, then its options. */
export function withHome<Args extends unknown[]>(
  cli: Cli,
  action: Action<Session, Args>,
): (...args: unknown[]) => Promise<void> {
  return async (...args) => {
    // Commander adds itself as the last argument.
    const command = args.at(-1) as Command
    const session = openSession(cli, command)
    try {
      await action(session, ...(args.slice(0, -1) as Args))
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      throw withKnown(error, { command: session.command, agent: session.subject.agent ?? 'AGENT' })
    }
  }
}

/** For verbs that talk to the node. Ctrl-C ends the connection, and with it whatever the verb waits for. */
export function withDoor<Args extends unknown[]>(
  cli: Cli,
  action: Action<DoorSession, Args>,
): (...args: unknown[]) => Promise<void> {
  return withHome<Args>(cli, async (session, ...args) => {
    const door = await connectTo(session)
    // In the next turn, so that a verb's own last word on Ctrl-C still leaves.
    const hangUp = (): void => void setImmediate(() => void door.close())
    cli.signal.addEventListener('abort', hangUp, { once: true })
    try {
      await action({ ...session, door }, ...args)
    } finally {
      cli.signal.removeEventListener('abort', hangUp)
      await door.close()
    }
  })
}

function openSession(cli: Cli, command: Command): Session {
  const { home: flag, json } = command.optsWithGlobals<{ home?: string; json?: boolean }>()
  const home = resolveHome(flag, cli.terminal.env)
  return {
    ...cli,
    home,
    output: new Output(cli.terminal, json === true),
    subject: { agent: agentOf(command) },
    command: (words) => `sealmesh ${words}${flag === undefined ? '' : ` --home ${shellWord(flag)}`}`,
  }
}

/** The agent that a command line is about: an argument of its own, the beginning of a UMR, or `--agent`. */
function agentOf(command: Command): string | undefined {
  const { agent: option } = command.opts<{ agent?: unknown }>()
  const words = command.registeredArguments.map((argument, index) =>
    ['agent', 'umr'].includes(argument.name()) || command.parent?.name() === 'agents'
      ? command.processedArgs[index]
      : undefined,
  )
  const [name] = [...words, option]
    .filter((word) => typeof word === 'string')
    .map((word) => word.slice(0, word.indexOf('.') === -1 ? undefined : word.indexOf('.')))
  return name !== undefined && isName(name) ? name : undefined
}

async function connectTo(session: Session): Promise<DoorClient> {
  try {
    return await connectDoor(await findSocket(session.home))
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'NODE_NOT_RUNNING') throw error
    throw new Failure('NODE_NOT_RUNNING', `No node runs on the home ${session.home.path}.`, {
      cause: error,
      next: session.command('up'),
    })
  }
}
