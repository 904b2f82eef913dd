import { Failure } from '@sealmesh/protocol/errors'
import { isItemId, isName } from '@sealmesh/protocol/ids'
import { REGISTER_VALUE_BYTES_MAX, TEXT_UPDATE_BYTES_MAX } from '@sealmesh/protocol/limits'
import { Command } from 'commander'
import type { MemoryItem, Skipped } from '../import/memory-item.ts'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, type DoorSession, withDoor } from './session.ts'
import { count } from './status.ts'

interface Options {
  readonly agent: string
  readonly dryRun?: boolean
  readonly skipInvalid?: boolean
}
interface Plan {
  readonly registers: { umr: string; value: string }[]
  readonly texts: { umr: string; text: string }[]
  readonly skipped: Skipped[]
  readonly layers: Map<string, number>
}

const BATCH_WRITES_MAX = 500 // Half of what the node takes; keeps progress moving.
const BATCH_BYTES_MAX = 262_144 // A quarter of a line: JSON inside JSON can double.
const SKIPPED_SHOWN = 10

export const importMemory = (cli: Cli): Command =>
  new Command('import')
    .summary("take in an agent's memory: a folder of Markdown, or a knowledge graph")
    .description(
      'Reads a folder of Markdown memory (MEMORY.md and topic files), one note, or the JSON lines of the MCP memory server, and writes them into an agent. Importing the same again changes what has changed.',
    )
    .argument('<path>', 'a folder, a .md file, or a .json or .jsonl graph')
    .requiredOption('--agent <name>', 'whose memory it becomes')
    .option('--dry-run', 'show what would be written, and write nothing')
    .option('--skip-invalid', 'leave out what cannot be read instead of refusing everything')
    .addHelpText('after', example('sealmesh import ~/.claude/projects/shop/memory --agent claude --dry-run'))
    .action(
      withDoor(cli, async (session, path: string, options: Options) => {
        const { readMemory } = await import('../import/read-memory.ts')
        const { items, skipped } = await readMemory(path)
        const plan = planOf(items, skipped, options.agent)
        const total = plan.registers.length + plan.texts.length
        report(session, plan)
        // What is left out on purpose (a diary, pictures, settings) is only listed.
        const invalid = plan.skipped.filter((each) => each.invalid).length
        if (invalid > 0 && options.skipInvalid !== true && options.dryRun !== true)
          throw new Failure('IMPORT_INVALID', `${count(invalid, 'item')} cannot be taken, and nothing was written.`)
        if (total === 0) throw new Failure('IMPORT_NOTHING', 'There is nothing in it that can be taken.')
        const kept = options.dryRun === true ? { registers: 0, texts: 0 } : await write(session, plan, total)
        const unchanged = kept.registers + kept.texts
        session.output.data({
          agent: options.agent,
          dryRun: options.dryRun === true,
          registers: plan.registers.length,
          texts: plan.texts.length,
          unchanged,
          layers: Object.fromEntries(plan.layers),
          skipped: plan.skipped,
        })
        const what = `${count(plan.registers.length - kept.registers, 'register')} and ${count(plan.texts.length - kept.texts, 'text')}`
        session.output.print(options.dryRun === true ? `would write ${what}` : `wrote ${what}; ${unchanged} unchanged`)
      }),
    )

/** What can be written, checked here as the node will check it, so that a long import does not fail half-way. */
function planOf(items: readonly MemoryItem[], skipped: readonly Skipped[], agent: string): Plan {
  const plan: Plan = { registers: [], texts: [], skipped: [...skipped], layers: new Map() }
  const skip = (item: MemoryItem, why: string): void =>
    void plan.skipped.push({ where: `${item.layer}.${item.id}`, why, invalid: true })
  for (const item of items) {
    const umr = `${agent}.${item.layer}.${item.id}`
    if (!isName(item.layer) || !isItemId(item.id)) skip(item, 'its name cannot be part of a UMR')
    else if (item.type === 'text') {
      if (Buffer.byteLength(item.text) > TEXT_UPDATE_BYTES_MAX) skip(item, 'the text is too long')
      else plan.texts.push({ umr, text: item.text })
    } else {
      const value = JSON.stringify(item.value)
      if (value === undefined) skip(item, 'it has no value')
      else if (Buffer.byteLength(value) > REGISTER_VALUE_BYTES_MAX) skip(item, 'the value is too large for a register')
      else plan.registers.push({ umr, value })
    }
  }
  for (const { umr } of [...plan.registers, ...plan.texts]) {
    const layer = umr.split('.')[1] ?? ''
    plan.layers.set(layer, (plan.layers.get(layer) ?? 0) + 1)
  }
  return plan
}

function report({ output }: DoorSession, plan: Plan): void {
  for (const [layer, number] of plan.layers) output.say(`${oneLine(layer).padEnd(12)} ${number}`)
  for (const { where, why } of plan.skipped.slice(0, SKIPPED_SHOWN))
    output.say(`left out: ${oneLine(where)}: ${oneLine(why)}`)
  const more = plan.skipped.length - SKIPPED_SHOWN
  if (more > 0) output.say(`left out: ${more} more`)
}

/** Gives how many of each kind read so already, and were not written. */
async function write(
  { door, output }: DoorSession,
  plan: Plan,
  total: number,
): Promise<{ registers: number; texts: number }> {
  const kept = { registers: 0, texts: 0 }
  let done = 0
  const step = (number: number): void => {
    done += number
    output.progress(`writing ${done} of ${total}`)
  }
  step(0)
  for (const writes of batchesOf(plan.registers)) {
    const { unchanged } = await door.call('set.many', { writes, onlyChanged: true })
    kept.registers += unchanged
    step(writes.length)
  }
  for (const { umr, text } of plan.texts) {
    const { write } = await door.call('text.put', { umr, text })
    // No block: the text read so already.
    if (write === '') kept.texts += 1
    step(1)
  }
  return kept
}

function* batchesOf(registers: Plan['registers']): Generator<Plan['registers']> {
  let batch: Plan['registers'] = []
  let bytes = 0
  for (const register of registers) {
    const size = Buffer.byteLength(register.value) + register.umr.length
    if (batch.length > 0 && (batch.length === BATCH_WRITES_MAX || bytes + size > BATCH_BYTES_MAX)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(register)
    bytes += size
  }
  if (batch.length > 0) yield batch
}
