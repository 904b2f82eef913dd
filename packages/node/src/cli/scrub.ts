import { setTimeout as pause } from 'node:timers/promises'
import { Failure } from '@sealmesh/protocol/errors'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { Command } from 'commander'
import { example } from './example.ts'
import type { Output } from './output.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'
import { moment } from './when.ts'
import { wholeNumber } from './whole-number.ts'

type State = MethodResult<'scrub.status'>

const POLL_MS = 100
const WAIT_S = 30
const WAIT_S_MAX = 86_400

export const scrub = (cli: Cli): Command =>
  new Command('scrub')
    .summary('read everything that is stored, and repair what is damaged')
    .description(
      'Compares everything that this node stores with its checks. What is damaged is repaired from other machines; ' +
        'what nobody has is named, and the exit code is 10. A node also does this by itself, slowly, once a day.',
    )
    .option('--wait <seconds>', 'how long to wait for other machines', wholeNumber(0, WAIT_S_MAX), WAIT_S)
    .option('--accept-loss <agent.layer>', 'go on without what is missing of AGENT.LAYER')
    .addHelpText('after', example('sealmesh scrub'))
    .action(
      withDoor(cli, async ({ door, output, command, signal }, options: { wait: number; acceptLoss?: string }) => {
        if (options.acceptLoss !== undefined) {
          const [agent = '', layer = '', ...rest] = options.acceptLoss.split('.')
          if (agent === '' || layer === '' || rest.length > 0)
            throw new Failure('USAGE', 'A document is named AGENT.LAYER.', { next: command('scrub') })
          const accepted = await door.call('scrub.accept', { agent, layer })
          output.data(accepted)
          const { missing, rewritten, unwritten } = accepted
          if (unwritten > 0) output.say(`${unwritten} values behind them are lost too: this node may not write them`)
          return output.hint(
            `${missing} blocks were given up, ${rewritten} values behind them written again: ${oneLine(options.acceptLoss)} is served`,
          )
        }
        let state = await door.call('scrub.start', {})
        while (state.running && !signal.aborted) {
          output.progress(progressOf(state))
          await pause(POLL_MS, undefined, { signal }).catch(() => undefined)
          state = await door.call('scrub.status', {})
        }
        const giveUpAtMs = performance.now() + options.wait * 1_000
        while (
          state.damaged.some((each) => each.state === 'asked') &&
          performance.now() < giveUpAtMs &&
          !signal.aborted
        ) {
          output.progress(
            `waiting for ${state.damaged
              .flatMap((each) => each.waitingFor)
              .map((name) => oneLine(name))
              .join(', ')}`,
          )
          await pause(POLL_MS, undefined, { signal }).catch(() => undefined)
          state = await door.call('scrub.status', {})
        }
        output.data(state)
        show(output, state)
        const lost = state.findings.filter((each) => each.state === 'lost').length
        if (state.damaged.length + lost === 0) return
        const documents = state.damaged.map((each) => `${each.agent ?? each.document}.${each.layer ?? ''}`)
        throw new Failure(
          'NOT_REPAIRED',
          documents.length > 0
            ? `Something is damaged and not repaired: ${documents.map((name) => oneLine(name)).join(', ')}.`
            : 'Something is damaged that only this machine had.',
          documents.length > 0
            ? {
                next: `bring the machines that share it up and run ${command('scrub')} again, or ${command('scrub --accept-loss AGENT.LAYER')}`,
              }
            : {},
        )
      }),
    )

function progressOf({ bytes, bytesExpected }: State): string {
  const read = `${(bytes / 1_048_576).toFixed(1)} MiB read`
  if (bytesExpected === null || bytesExpected < bytes) return read
  return `${read}, ${Math.floor((100 * bytes) / bytesExpected)} %`
}

function show(output: Output, state: State): void {
  for (const { what, state: became } of state.findings)
    if (became !== 'asked') output.print(`${became.padEnd(7)} ${oneLine(what)}`)
  for (const { agent, layer, document, missing, state: became, waitingFor } of state.damaged) {
    const name = agent === null ? document : `${agent}.${layer}`
    output.print(`${became.padEnd(7)} ${oneLine(name)}`)
    for (const { incarnation, from, to } of missing)
      output.print(
        `          ${from === to ? `block ${from}` : `blocks ${from} to ${to}`} of incarnation ${incarnation}`,
      )
    if (waitingFor.length > 0)
      output.print(`          waiting for ${waitingFor.map((each) => oneLine(each)).join(', ')}`)
  }
  if (state.rolledBack !== null)
    output.print(
      `rolled back since ${moment(state.rolledBack.since)}: ${oneLine(state.rolledBack.evidence.join('; '))}`,
    )
  if (state.copied !== null)
    output.print(`copied, last seen ${moment(state.copied.last)}: ${oneLine(state.copied.evidence.join('; '))}`)
  if (state.findings.length === 0 && state.damaged.length === 0) output.hint('everything that is stored is whole')
}
