import { setTimeout as wait } from 'node:timers/promises'
import { Failure } from '@sealmesh/protocol/errors'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { Command } from 'commander'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, withDoor } from './session.ts'
import { shortId } from './status.ts'
import { timeoutOption } from './timeout-option.ts'
import { wholeNumber } from './whole-number.ts'

const APART_MS = 1_000

interface Options {
  readonly count: number
  readonly timeout: number
}

export const ping = (cli: Cli): Command =>
  new Command('ping')
    .summary('ask another machine whether it answers')
    .description(
      'Sends a sealed question to another machine of the mesh and waits for its answer, which no relay can give in its place. Says how long that took, which way it came, directly or by which relay, and why. Exit code 0 if one was answered.',
    )
    .argument('<node>', "the machine's name or id")
    .option('-c, --count <n>', 'how often, a second apart', wholeNumber(1, 10_000), 1)
    .addOption(timeoutOption('--timeout <time>', 'how long each is waited for', 5_000))
    .addHelpText('after', example('sealmesh ping office -c 3'))
    .action(
      withDoor(cli, async ({ door, output, signal }, node: string, { count, timeout }: Options) => {
        const answers: MethodResult<'ping'>[] = []
        let failure: unknown
        for (let at = 0; at < count; at++) {
          if (at > 0) await wait(APART_MS, undefined, { signal })
          try {
            const answer = await door.call('ping', { node, timeoutMs: Math.min(Math.max(1, timeout), 60_000) })
            answers.push(answer)
            output.print(`${oneLine(answer.node)} answers in ${answer.ms} ms, ${wayOf(answer)}`)
            if (at === 0) output.print(`  why: ${oneLine(answer.why, 200)}`)
          } catch (error) {
            if (!(error instanceof Failure) || error.code !== 'WAIT_TIMEOUT') throw error
            failure = error
            output.say(error.message)
          }
        }
        output.data({ node, sent: count, answers })
        if (answers.length === 0) throw failure
      }),
    )

const wayOf = ({ via }: MethodResult<'ping'>): string =>
  via === null ? 'through its relay' : via === 'direct' ? 'directly' : `through ${shortId(via)}`
