import { Failure } from '@sealmesh/protocol/errors'
import type { ItemView } from '@sealmesh/protocol/ipc/methods'
import { Command } from 'commander'
import { example } from './example.ts'
import { type Cli, type DoorSession, withDoor } from './session.ts'
import { checkUmr } from './umr.ts'

export const get = (cli: Cli): Command =>
  new Command('get')
    .summary('print a value, a text or a diary entry')
    .description('Prints the value of a register, the content of a text or a diary entry. Exit code 5: there is none.')
    .argument('<umr>', 'agent.layer.id')
    .option('--raw-json', 'print a register as JSON, so that text and numbers can be told apart')
    .addHelpText('after', example('sealmesh get claude.semantic.deploy-day'))
    .action(
      withDoor(cli, async (session, umr: string, options: { rawJson?: boolean }) => {
        checkUmr(umr)
        const { item } = await session.door.call('get', { umr })
        if (item === null)
          throw new Failure('ITEM_NOT_FOUND', 'There is no such item here.', {
            next: session.command(`ls ${parentOf(umr)}`),
          })
        session.output.data(item)
        show(session, item, options.rawJson === true)
      }),
    )

function show({ output, command }: DoorSession, item: ItemView, rawJson: boolean): void {
  switch (item.type) {
    case 'register': {
      output.content(rawJson ? item.value : plain(item.value), { endLine: true })
      if (item.conflicts > 0)
        output.hint(
          `${item.conflicts} more ${item.conflicts === 1 ? 'value was' : 'values were'} written at the same time: ${command(`conflicts show ${item.umr}`)}`,
        )
      return
    }
    case 'text':
      return output.content(item.text, { endLine: false })
    case 'diary':
      if (item.content === null)
        throw new Failure(
          'DIARY_PRIVATE',
          `The entry has ${item.characters} characters, and only the node that wrote it has them.`,
        )
      return output.content(item.content, { endLine: true })
  }
}

/** What `set` was given: text without quotes, everything else as JSON. */
export function plain(json: string): string {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'string' ? value : json
  } catch {
    return json
  }
}

const parentOf = (umr: string): string => umr.split('.').slice(0, 2).join('.')
