import { Failure } from '@sealmesh/protocol/errors'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { Command } from 'commander'
import { ask, requirePerson } from './ask.ts'
import { example } from './example.ts'
import type { Output } from './output.ts'
import { oneLine } from './printable.ts'
import { type Cli, type DoorSession, withDoor } from './session.ts'
import { count } from './status.ts'
import { ago } from './when.ts'

const CHANGES =
  'LAYER=none, standby, NODE or AGENT, or several with commas; with :write it may write too, with :none only its own grants end'

export const share = (cli: Cli): Command =>
  new Command('share')
    .summary('what leaves this machine, and to whom')
    .description('Nothing leaves this machine until you say so here, layer by layer.')
    .addHelpText('after', example('sealmesh share set claude semantic=standby episodic=office:write'))
    .addCommand(setShare(cli))
    .addCommand(list(cli))
    .addCommand(preview(cli))

interface SetOptions {
  readonly yes?: boolean
  readonly newLayer?: boolean
}

const setShare = (cli: Cli): Command =>
  new Command('set')
    .summary('share layers, or stop sharing them')
    .description(
      'Lets somebody read layers of an agent, or ends that. Shows what would leave, and asks. What was sent cannot be unsent.',
    )
    .argument('<agent>', 'the agent')
    .argument('<changes...>', CHANGES)
    .option('--yes', 'do not ask')
    .option('--new-layer', 'a layer whose name is close to that of another is meant')
    .addHelpText(
      'after',
      example(
        'sealmesh share set claude semantic=standby,office:write inbox=ada:write',
        'sealmesh share set claude semantic=none   ends all its grants',
      ),
    )
    .action(
      withDoor(cli, async (session, agent: string, words: string[], options: SetOptions) => {
        const { door, output } = session
        const asked = { agent, changes: changesOf(session, words), newLayer: options.newLayer === true }
        if (options.yes !== true && !(await confirmed(session, asked, words))) return
        const result = await door.call('share.set', asked)
        output.data(result)
        showGrants(output, result.grants)
        if (result.changed === 0) output.hint('already so')
        for (const layer of result.layers) for (const line of lossesOf(agent, layer)) output.say(line)
        // A grant to standbys, or to an agent, may name no machine but this one.
        const granted = new Set(result.grants.map(({ layer }) => layer))
        if (result.layers.some(({ layer, now, gains }) => granted.has(layer) && now.length + gains.length === 0))
          output.hint(`No other machine gets it yet: ${session.command(`agents add ${agent} --standby NODE`)}`)
      }),
    )

interface Asked {
  readonly agent: string
  readonly changes: { layer: string; to: string }[]
  readonly newLayer: boolean
}

/** Shown before it is done. Only what starts a flow wants a yes where nobody can be asked: ending one is always safe. */
async function confirmed(session: DoorSession, asked: Asked, words: readonly string[]): Promise<boolean> {
  const { door, output } = session
  const { layers, holder, heldHere } = await door.call('share.preview', { ...asked, keys: 3 })
  // Before anybody is asked for a yes that could do nothing.
  if (!heldHere)
    throw new Failure(
      'NOT_THE_HOLDER',
      `${asked.agent} is held by ${oneLine(holder ?? 'nobody')}: only there can it be shared.`,
    )
  const starts = layers.some(({ gains }) => gains.length > 0)
  const stops = layers.some(({ loses }) => loses.length > 0)
  if (!starts && !stops) return true
  for (const layer of layers) for (const line of linesOf(asked.agent, layer)) output.say(line)
  if (starts) requirePerson(session, 'Sharing', `share set ${asked.agent} ${words.join(' ')} --yes`)
  else if (session.terminal.stdin.isTTY !== true) return true
  if (await ask(session, 'Do it?')) return true
  output.say('nothing was changed')
  return false
}

const preview = (cli: Cli): Command =>
  new Command('preview')
    .summary('show what leaves, or what a change would send or stop')
    .description(
      'Shows which nodes get which layers, and what is in them. With changes: what these would add or stop. Sends nothing.',
    )
    .argument('<agent>', 'the agent')
    .argument('[changes...]', `${CHANGES} (default: what is shared now)`)
    .option('--keys', 'list every item, not only the first')
    .option('--new-layer', 'a layer whose name is close to that of another is meant')
    .addHelpText(
      'after',
      example('sealmesh share preview claude', 'sealmesh share preview claude semantic=office --keys'),
    )
    .action(
      withDoor(
        cli,
        async (session, agent: string, words: string[], options: { keys?: boolean; newLayer?: boolean }) => {
          const { door, output } = session
          const seen = await door.call('share.preview', {
            agent,
            changes: changesOf(session, words),
            newLayer: options.newLayer === true,
            keys: options.keys === true ? KEYS_MAX : SAMPLE,
          })
          output.data(seen)
          if (seen.layers.length === 0) return output.hint('Nothing is shared: nothing leaves this machine.')
          for (const layer of seen.layers) output.print(...linesOf(seen.agent, layer))
        },
      ),
    )

const SAMPLE = 10
const KEYS_MAX = 100_000

const list = (cli: Cli): Command =>
  new Command('ls')
    .summary('list what is shared')
    .description('Lists who may read and write which layers.')
    .argument('[agent]', 'of this agent only')
    .addHelpText('after', example('sealmesh share ls claude'))
    .action(
      withDoor(cli, async ({ door, output }, agent: string | undefined) => {
        const listing = await door.call('share.ls', agent === undefined ? {} : { agent })
        output.data(listing)
        showGrants(output, listing.grants)
      }),
    )

function changesOf({ command }: DoorSession, words: readonly string[]): { layer: string; to: string }[] {
  return words.flatMap((word) => {
    const at = word.indexOf('=')
    if (at < 1 || at === word.length - 1)
      throw new Failure('USAGE', 'Say each change as LAYER=WHO, such as semantic=standby.', {
        next: command('share set AGENT LAYER=WHO'),
      })
    const layer = word.slice(0, at)
    return word
      .slice(at + 1)
      .split(',')
      .map((to) => ({ layer, to }))
  })
}

type Layer = MethodResult<'share.preview'>['layers'][number]

function linesOf(agent: string, layer: Layer): string[] {
  const { registers, texts, bytes, blocks, umrs } = layer
  const content = layer.layer === 'diary' ? 'metadata only, never the content: ' : ''
  const more = registers + texts - umrs.length
  return [
    `${oneLine(agent)}.${oneLine(layer.layer)}`,
    `  holds   ${content}${count(registers, 'register')}, ${count(texts, 'text')}, ${bytes} bytes in ${count(blocks, 'block')}`,
    ...(layer.now.length > 0 ? [`  goes to ${namesOf(layer.now)}`] : []),
    ...(layer.gains.length > 0
      ? [
          `  adds    ${namesOf(layer.gains)}`,
          ...(blocks > registers + texts ? ['          blocks also hold what was overwritten or deleted lately'] : []),
        ]
      : []),
    ...(layer.revives > 0
      ? [
          `  counts again: ${count(layer.revives, 'block')} that ${layer.revives === 1 ? 'was' : 'were'} written without the right`,
        ]
      : []),
    ...lossesOf(agent, layer, 'would'),
    ...(layer.now.length + layer.gains.length + layer.loses.length === 0 ? ['  goes to nobody'] : []),
    ...umrs.map((umr) => `  ${oneLine(umr)}`),
    ...(umrs.length > 0 && more > 0 ? [`  and ${more} more`] : []),
  ]
}

/** What ends, and what no end can undo. */
function lossesOf(agent: string, { layer, loses, blocks }: Layer, when?: 'would'): string[] {
  const name = `${oneLine(agent)}.${oneLine(layer)}`
  const nowMs = Date.now()
  return loses.flatMap(({ node, access, receipted, lastHeardAt }) => {
    if (access === 'write')
      return [
        `  ${oneLine(node)} ${when === undefined ? 'may write' : 'would write'} ${name} no more: what is here of it stays, what it writes from then on counts nowhere`,
      ]
    const heard = lastHeardAt === null ? 'never heard' : `last heard ${ago(lastHeardAt, nowMs)}`
    const has =
      receipted === 0
        ? 'it has receipted nothing'
        : `it has receipted ${count(receipted, 'block')}${receipted >= blocks ? ', which is all' : ` of ${blocks}`}`
    return [
      `  ${oneLine(node)} ${when === undefined ? 'is' : 'would be'} sent nothing more of ${name}: ${has} (${heard}); what was sent cannot be unsent`,
    ]
  })
}

/** A node that gains both rights is named once. */
function namesOf(rights: Layer['now']): string {
  const writers = new Set(rights.flatMap(({ node, access }) => (access === 'write' ? [node] : [])))
  return [...new Set(rights.map(({ node }) => node))]
    .map((node) => `${oneLine(node)}${writers.has(node) ? ' (may write)' : ''}`)
    .join(', ')
}

function showGrants(output: Output, grants: MethodResult<'share.ls'>['grants']): void {
  if (grants.length === 0) return output.hint('Nothing is shared: nothing leaves this machine.')
  output.table(
    [{ title: 'AGENT' }, { title: 'LAYER' }, { title: 'TO' }, { title: 'ACCESS' }],
    grants.map((grant) => [grant.agent, grant.layer, grant.to, grant.access]),
  )
}
