import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { Command } from 'commander'
import { shellWord } from '../keys/modes.ts'
import { example } from './example.ts'
import { plain } from './get.ts'
import type { Output } from './output.ts'
import { oneLine } from './printable.ts'
import { type Cli, type DoorSession, withDoor } from './session.ts'
import { momentOption } from './moment-option.ts'
import { checkUmr } from './umr.ts'
import { moment } from './when.ts'
import { wholeNumber } from './whole-number.ts'

type Version = MethodResult<'history'>['versions'][number]

const VALUE_CHARACTERS_MAX = 80
const LINES_SHOWN = 12
const WRITE_SHOWN = 12

export const history = (cli: Cli): Command =>
  new Command('history')
    .summary('show earlier versions of an item')
    .description(
      'Shows the versions of a register or a text that are still here: when, by whom, on which machine, and the value, or the lines that changed. With --at it prints what the item was at that time.',
    )
    .argument('<umr>', 'agent.layer.id')
    .option('--limit <n>', 'so many versions, the latest', wholeNumber(1, 1_000), 20)
    .option('--at <time>', 'print the value of that time: 2026-11-20T14:03, 14:03, or 10m, 2h, 3d ago', momentOption)
    .addHelpText('after', example('sealmesh history claude.semantic.deploy-day'))
    .action(
      withDoor(cli, async (session, umr: string, options: { limit: number; at?: number }) => {
        checkUmr(umr)
        if (options.at === undefined) return list(session, umr, options.limit)
        await printThen(session, umr, new Date(options.at).toISOString())
      }),
    )

async function list({ door, output, command }: DoorSession, umr: string, limit: number): Promise<void> {
  const found = await door.call('history', { umr, limit })
  output.data(found)
  if (output.json) return
  for (const version of found.versions) show(output, version)
  if (found.earlier > 0)
    output.hint(`${found.earlier} older version${found.earlier === 1 ? '' : 's'}: --limit ${limit + found.earlier}`)
  output.hint(
    found.endsAt === null
      ? 'This is the whole history: nothing of it is compacted away yet.'
      : `Versions that were replaced before ${moment(found.endsAt)} are compacted away.`,
  )
  output.hint(`Next: ${command(`restore ${shellWord(found.umr)} --at TIME`)} brings one back`)
}

async function printThen({ door, output }: DoorSession, umr: string, at: string): Promise<void> {
  const then = await door.call('history.at', { umr, at })
  output.data(then)
  if (then.type === 'nothing') return output.hint(`it was not there at ${moment(at)}`)
  if (then.value === null) return output.hint(`it was deleted at ${moment(at)}`)
  output.content(then.type === 'register' ? plain(then.value) : then.value, { endLine: then.type === 'register' })
}

function show(output: Output, version: Version): void {
  const by = `${oneLine(version.writer)} on ${oneLine(version.nodeName)}`
  const head = `${second(version.at)}  ${by}  ${version.write.slice(0, WRITE_SHOWN)}`
  const state = version.state === 'replaced' ? '' : `  (${version.state})`
  if (version.type === 'register') {
    const value = version.value === null ? '(deleted)' : oneLine(plain(version.value), VALUE_CHARACTERS_MAX)
    return output.print(`${head}  ${value}${state}`)
  }
  output.print(`${head}  ${version.edits} edit${version.edits === 1 ? '' : 's'}${state}`)
  let lines = 0
  for (const { line, removed, added } of version.hunks) {
    output.print(output.styled('dim', `  line ${line}`))
    for (const [sign, style, all] of [
      ['-', 'red', removed],
      ['+', 'green', added],
    ] as const)
      for (const text of all) {
        if (++lines > LINES_SHOWN) continue
        output.print(output.styled(style, `  ${sign} ${oneLine(text, VALUE_CHARACTERS_MAX)}`))
      }
  }
  if (lines > LINES_SHOWN) output.print(`  and ${lines - LINES_SHOWN} more lines: --json has them`)
}

/** Local, to the second: two versions of one minute have to be told apart by `restore --at`. */
function second(iso: string): string {
  return `${moment(iso)}:${String(new Date(iso).getSeconds()).padStart(2, '0')}`
}
