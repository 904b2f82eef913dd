import { CLIENTS } from '@sealmesh/mcp/install/clients'
import { Failure } from '@sealmesh/protocol/errors'
import { Command } from 'commander'
import { readToken, tokenFile } from '../mcp/token-file.ts'
import { example } from './example.ts'
import { type AllowanceFlags, allowanceOf, toolsOf, withAllowance } from './mcp-allowance.ts'
import { install, list, uninstall } from './mcp-install.ts'
import { oneLine } from './printable.ts'
import { type Cli, withHome } from './session.ts'
import { wholeNumber } from './whole-number.ts'

interface Options extends AllowanceFlags {
  readonly agent?: string
  readonly tokenFile?: string
  readonly http?: number
}

export const mcp = (cli: Cli): Command =>
  new Command('mcp')
    .summary('let a coding assistant use the mesh: an MCP server for one agent')
    .description(
      'Speaks MCP on stdin and stdout for one agent: its memory and its messages. Usually a client starts it: sealmesh mcp install CLIENT --agent AGENT.',
    )
    .addHelpText('after', example('sealmesh mcp install claude-code --agent claude'))
    // By default: clients start `sealmesh mcp --agent AGENT`.
    .addCommand(serve(cli), { isDefault: true })
    .addCommand(install(cli))
    .addCommand(uninstall(cli))
    .addCommand(list(cli))

const serve = (cli: Cli): Command =>
  withAllowance(new Command('serve'))
    .summary('speak MCP on stdin and stdout; what mcp does without a word behind it')
    .description('Speaks MCP for one agent until the client leaves.')
    .option('--agent <name>', 'which agent it is, with the token that mcp install left in this home')
    .option('--token-file <file>', 'a file with the token of agents token, in place of --agent')
    .option(
      '--http <port>',
      'Streamable HTTP on loopback, with the token as bearer (0: any port)',
      wholeNumber(0, 65_535),
    )
    .addHelpText('after', example('sealmesh mcp --agent claude'))
    .action(
      withHome(cli, async ({ home, output, signal, terminal, command }, options: Options) => {
        const { serveMcp } = await import('../mcp/serve.ts')
        const { compat, http } = options
        const serving = serveMcp({
          home: home.path,
          token: await tokenOf(options, terminal.env, (agent) => tokenFile(home, agent)),
          ...(compat === undefined ? {} : { compat }),
          ...toolsOf(options),
          allowance: (agent) => allowanceOf(options, agent),
          ...(http === undefined ? {} : { port: http }),
          signal,
          ready: ({ name, url, shared }) => {
            // On stdout only what the protocol says, but for the address that a script waits for.
            if (url !== null) output.data({ agent: name, url })
            if (url !== null) output.print(url)
            output.say(oneLine(`MCP for ${name}${url === null ? '' : ` at ${url}`}`))
            if (shared) output.say(oneLine(`Another program is ${name} already, and reads its messages.`))
          },
        })
        await serving.catch((error: unknown) => {
          const { agent, tokenFile: file } = options
          if (agent === undefined || file !== undefined) throw error
          throw stale(error, `${command(`agents token ${agent} --rotate`)} > ${tokenFile(home, agent)}`)
        })
      }),
    )

/** Somebody made another token since, which the file of `mcp install` does not have. */
function stale(error: unknown, next: string): unknown {
  if (!(error instanceof Failure) || error.code !== 'AGENT_TOKEN_INVALID') return error
  return new Failure(error.code, error.message, { next, cause: error })
}

async function tokenOf(
  { agent, tokenFile: file }: Options,
  env: NodeJS.ProcessEnv,
  fileOf: (agent: string) => string,
): Promise<string> {
  const given = env['SEALMESH_AGENT_TOKEN']
  if (file !== undefined) return readToken(file)
  if (agent !== undefined) return readToken(fileOf(agent))
  if (given !== undefined && given !== '') return given
  const named = env['SEALMESH_AGENT_TOKEN_FILE']
  if (named !== undefined && named !== '') return readToken(named)
  throw new Failure('USAGE', 'Which agent is it?', {
    next: `sealmesh mcp install ${CLIENTS.join('|')} --agent AGENT, or --token-file FILE`,
  })
}
