import { Failure } from '@sealmesh/protocol/errors'
import { type Right, RIGHTS } from '@sealmesh/protocol/ipc/agent-methods'
import { Command, InvalidArgumentError } from 'commander'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'

/** `agents token` and `agents tokens`: what lets a program be an agent on this machine. */

interface TokenOptions {
  readonly rights?: readonly Right[]
  readonly rotate?: boolean
  readonly revoke?: boolean
}

export const token = (cli: Cli): Command =>
  new Command('token')
    .summary('make the token with which a program attaches as an agent')
    .description(
      'Makes a token for an agent of this node and prints it, once: only a hash of it is kept. A program gives it in SEALMESH_AGENT_TOKEN, or names a file that holds it in SEALMESH_AGENT_TOKEN_FILE.',
    )
    .argument('<name>', 'an agent that this node may carry')
    .option('--rights <list>', `what it allows, separated by commas: ${RIGHTS.join(', ')} (all of them)`, rightsOf)
    .option('--rotate', 'make another; the old one is worth nothing then, and whoever uses it is detached')
    .option('--revoke', 'take it back; what waits in the inbox of the agent is dropped')
    .addHelpText('after', example('sealmesh agents token claude > claude.token'))
    .action(
      withDoor(cli, async ({ door, output, command }, name: string, options: TokenOptions) => {
        if (options.rotate === true && options.revoke === true)
          throw new Failure('USAGE', '--rotate and --revoke do not go together.')
        const action = options.revoke === true ? 'revoke' : options.rotate === true ? 'rotate' : 'make'
        const rights = options.rights === undefined ? {} : { rights: [...options.rights] }
        const made = await door.call('agents.token', { name, action, ...rights })
        output.data(made)
        if (made.token === null) return output.say(oneLine(`${made.name} has no token on this node any more.`))
        output.print(made.token)
        output.hint(`It is shown once. Another one: ${command(`agents token ${made.name} --rotate`)}`)
      }),
    )

export const tokens = (cli: Cli): Command =>
  new Command('tokens')
    .summary('list which agents have a token on this node')
    .description('Lists the agents that have a token on this node, what it allows, and when it was made.')
    .addHelpText('after', example('sealmesh agents tokens'))
    .action(
      withDoor(cli, async ({ door, output, command }) => {
        const listing = await door.call('agents.tokens', {})
        output.data(listing)
        if (listing.tokens.length === 0) return output.hint(`None yet. Next: ${command('agents token NAME')}`)
        output.table(
          [{ title: 'AGENT' }, { title: 'RIGHTS' }, { title: 'MADE' }, { title: 'ATTACHED' }],
          listing.tokens.map((each) => [
            each.name,
            each.rights.join(', ') || '-',
            each.madeAt.slice(0, 10),
            each.attached ? 'yes' : '-',
          ]),
        )
      }),
    )

function rightsOf(text: string): readonly Right[] {
  const words = text.split(',').map((word) => word.trim())
  const wrong = words.find((word) => !(RIGHTS as readonly string[]).includes(word))
  if (wrong !== undefined) throw new InvalidArgumentError(`They are ${RIGHTS.join(', ')}.`)
  return words as Right[]
}
