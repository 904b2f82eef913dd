import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { Command } from 'commander'
import { example } from './example.ts'
import { plain } from './get.ts'
import { oneLine } from './printable.ts'
import { type Cli, type DoorSession, withDoor } from './session.ts'
import { atHome } from './step.ts'
import { ago, moment } from './when.ts'

type Layer = MethodResult<'why'>['layers'][number]
type Machine = Layer['machines'][number]

const VALUE_CHARACTERS_MAX = 60
/** An agent with many layers has a line for each that is in step. */
const QUIET = new Set(['here', 'in-step'])

export const why = (cli: Cli): Command =>
  new Command('why')
    .summary('say which machine has what, what is missing where, and why')
    .description(
      'For one item, or for all layers of an agent: which machine has which version, what it lacks, the reason, and what to do.',
    )
    .argument('<umr-or-agent>', 'agent.layer.id, or an agent')
    .addHelpText('after', example('sealmesh why claude.semantic.deploy-day'))
    .action(
      withDoor(cli, async (session, target: string) => {
        const { output, door } = session
        const explained = await door.call('why', { target })
        output.data(explained)
        if (output.json) return
        if (explained.layers.length === 0) return output.print('nothing is here, and nothing is shared')
        for (const [at, layer] of explained.layers.entries()) {
          if (at > 0) output.print('')
          show(session, explained, layer)
        }
      }),
    )

function show(session: DoorSession, { kind, target }: MethodResult<'why'>, layer: Layer): void {
  const { output } = session
  const nowMs = Date.now()
  const name = kind === 'item' ? target : `${layer.agent}.${layer.layer}`
  output.print(`${output.styled('bold', oneLine(name))}  ${kind === 'item' ? itemLine(layer) : blocksLine(layer)}`)
  const item = kind === 'item'
  output.table(
    [
      { title: 'MACHINE' },
      { title: item ? 'HAS' : 'STATE' },
      { title: 'LACKS', align: 'right' },
      { title: 'MORE', align: 'right' },
      { title: 'LAST HEARD' },
      { title: 'WHY' },
    ],
    layer.machines.map((machine) => [
      machine.name,
      item ? versionOf(layer, machine) : machine.has,
      machine.lacks === 0 ? '-' : String(machine.lacks),
      machine.more === null ? (machine.here ? '' : '?') : machine.more === 0 ? '-' : String(machine.more),
      machine.here ? '' : ago(machine.lastHeardAt, nowMs),
      machine.since === null ? machine.text : `${machine.text}; it waits since ${moment(machine.since)}`,
    ]),
  )
  for (const { cause, next } of layer.machines)
    if (next !== null && !QUIET.has(cause)) output.print(`  next: ${atHome(session, next)}`)
  for (const { text, next } of layer.notes) {
    output.print(`${output.styled('yellow', 'note:')} ${oneLine(text)}`)
    if (next !== null) output.print(`  next: ${atHome(session, next)}`)
  }
}

function itemLine({ item }: Layer): string {
  if (item === null || item.type === 'nothing') return 'is not here'
  const by =
    item.origin === null
      ? ''
      : `, by ${oneLine(item.origin.writer)} on ${oneLine(item.origin.nodeName)}, ${moment(item.origin.at)}`
  if (item.type === 'deleted') return `was deleted${by}`
  return item.value === null ? item.type : `${oneLine(plain(item.value), VALUE_CHARACTERS_MAX)}${by}`
}

const blocksLine = ({ blocks }: Layer): string => `${blocks} block${blocks === 1 ? '' : 's'} here`

function versionOf(layer: Layer, machine: Machine): string {
  if (machine.has === 'not shared') return 'not shared'
  const shown = layer.machines[0]?.version
  if (machine.version === null)
    return layer.item?.type === 'text' ? machine.has : shown === null ? machine.has : 'no version'
  if (machine.version.write === shown?.write) return machine.here ? 'this version' : 'the same version'
  return `version of ${moment(machine.version.at)}`
}
