import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { Command } from 'commander'
import { ask, requirePerson } from './ask.ts'
import { example } from './example.ts'
import type { Output } from './output.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'
import { count } from './status.ts'
import { ago } from './when.ts'

interface Options {
  readonly yes?: boolean
  readonly reason?: string
  readonly acceptDataLoss?: string
  readonly force?: boolean
}

export const takeover = (cli: Cli): Command =>
  new Command('takeover')
    .summary('take over an agent whose machine is gone')
    .description(
      'Shows what is known, what may be lost and what cannot be known; then, if you say yes, moves the agent here.',
    )
    .argument('<agent>', 'the agent')
    .option('--yes', 'do not ask')
    .option('--reason <text>', 'for the record, which every node of the mesh keeps')
    .option('--accept-data-loss <reason>', 'go on although something that was acknowledged could be lost')
    .option('--force', 'go past the lease of the old machine: you have seen that it does not act')
    .addHelpText('after', example('sealmesh takeover claude --reason "laptop stolen"'))
    .action(
      withDoor(cli, async (session, agent: string, options: Options) => {
        const { door, output } = session
        const unattended = options.yes === true
        const preview = await door.call('takeover.preview', { agent })
        const { agents } = await door.call('status', {})
        if (options.force !== true && agents.find(({ name }) => name === preview.agent)?.holdsHere === true) {
          const { term, holder } = preview
          output.data({ agent: preview.agent, term, holder, record: null, preview })
          return output.print(`this node holds ${oneLine(preview.agent)} already, term ${term}: nothing to take over`)
        }
        // Shown before anything is asked: where there is nobody to ask, it is what they decide by.
        show(output, preview)
        if (!unattended) requirePerson(session, 'A takeover', `takeover ${agent} --yes`)
        if (!unattended && !(await ask(session, `Move ${oneLine(agent)} to this node?`)))
          return output.say('nothing was changed')
        const { acceptDataLoss, force = false } = options
        const more = acceptDataLoss === undefined ? { force } : { force, acceptDataLoss }
        const taken = await door.call('takeover', { agent, reason: options.reason ?? '', ...more })
        output.data({ ...taken, preview })
        output.print(`${oneLine(taken.agent)} is held by ${oneLine(taken.holder)}, term ${taken.term}`)
        output.hint(
          `What its old machine wrote alone shows up when it is back: ${session.command(`late ls ${oneLine(taken.agent)}`)}`,
        )
      }),
    )

function show(output: Output, preview: MethodResult<'takeover.preview'>): void {
  const heard =
    preview.holderLastHeardAt === null ? 'never heard from' : `last heard ${ago(preview.holderLastHeardAt, Date.now())}`
  const holder = preview.holder === null ? 'nobody' : `${oneLine(preview.holder)}, ${heard}`
  output.say(`${oneLine(preview.agent)} is held by ${holder}; term ${preview.term}, next ${preview.nextTerm}`)
  for (const { layer, blocks, registers, texts } of preview.basis)
    output.say(
      `  here: ${oneLine(layer)} with ${count(registers, 'register')} and ${count(texts, 'text')}, ${count(blocks, 'block')}`,
    )
  for (const [title, lines] of [
    ['known', preview.known],
    ['may be lost', preview.mayBeLost],
    ['cannot be known', preview.cannotBeKnown],
  ] as const) {
    if (lines.length === 0) continue
    output.say(output.styledTalk('bold', title))
    for (const line of lines) output.say(`  ${oneLine(line)}`)
  }
}
