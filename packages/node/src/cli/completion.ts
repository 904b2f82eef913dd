import { Command } from 'commander'
import { complete } from '../completion/complete.ts'
import { names } from '../completion/names.ts'
import { scripts, type Shell } from '../completion/scripts.ts'
import { resolveHome } from '../keys/home.ts'
import { example } from './example.ts'
import { printable } from './printable.ts'
import { type Cli, withHome } from './session.ts'
import { verbs } from './verbs.ts'

const ABOUT_MAX = 80

export const completion = (cli: Cli): Command =>
  new Command('completion')
    .summary('completion for bash, zsh and fish')
    .description(
      'Prints a script for your shell. It completes verbs, options, and the names of agents, machines and items that the node knows.',
    )
    .addHelpText('after', example('sealmesh completion bash > ~/.local/share/bash-completion/completions/sealmesh'))
    .addCommand(shell(cli, 'bash', 'sealmesh completion bash > ~/.local/share/bash-completion/completions/sealmesh'))
    .addCommand(shell(cli, 'zsh', 'sealmesh completion zsh > ~/.zfunc/_sealmesh'))
    .addCommand(shell(cli, 'fish', 'sealmesh completion fish > ~/.config/fish/completions/sealmesh.fish'))
    .addCommand(words(cli), { hidden: true })

const shell = (cli: Cli, name: Shell, use: string): Command =>
  new Command(name)
    .summary(`a script for ${name}`)
    .description(`Prints what ${name} needs to complete this program's command lines.`)
    .addHelpText('after', example(use))
    .action(withHome(cli, async ({ output }) => output.content(scripts[name], { endLine: false })))

/** What the scripts ask. */
const words = (cli: Cli): Command =>
  new Command('words')
    .description('Prints the words that may stand at the end of a command line, one a line, with what each is.')
    .argument('[words...]', 'the command line without its first word; the last one is completed')
    .addHelpText('after', example("sealmesh completion words -- vote ''"))
    .action(
      withHome(cli, async ({ output, terminal }, given: string[]) => {
        const line = given.length === 0 ? [''] : given
        const { candidates, kinds } = complete(await programFor(cli, line), line)
        const home = homeIn(line)
        const known = await names(resolveHome(home, terminal.env), kinds, line.at(-1) ?? '')
        for (const { word, about } of [...candidates, ...known])
          output.content(`${word}\t${printable(about).slice(0, ABOUT_MAX).replaceAll(/\s+/g, ' ')}\n`, {
            endLine: false,
          })
      }),
    )

/** With the one verb that stands there already: to load all of them takes longer than a person likes to wait. */
async function programFor(cli: Cli, line: readonly string[]): Promise<Command> {
  const program = new Command('sealmesh')
    .option('--home <dir>', 'where this node keeps everything')
    .option('--json', 'print JSON')
  const verb = line.slice(0, -1).find((word) => Object.hasOwn(verbs, word))
  const load = verb === undefined ? undefined : verbs[verb]
  if (load !== undefined) return program.addCommand(await load(cli))
  for (const name of [...Object.keys(verbs), 'help']) program.addCommand(new Command(name))
  return program
}

function homeIn(line: readonly string[]): string | undefined {
  const at = line.indexOf('--home')
  const home = at === -1 || at >= line.length - 2 ? undefined : line[at + 1]
  return home === '' ? undefined : home
}
