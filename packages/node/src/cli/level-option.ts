import { Failure } from '@sealmesh/protocol/errors'
import { LEVELS, type Level } from '@sealmesh/protocol/failover/levels'
import type { Acknowledgement } from '@sealmesh/protocol/ipc/acknowledging'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { oneLine } from './printable.ts'
import type { Session } from './session.ts'
import { atHome } from './step.ts'
import { parseTimeout } from './timeout-option.ts'

export interface LevelOptions {
  readonly wait?: Level
  readonly timeout?: number
}

/** `--wait` and `--timeout`, for verbs that write. */
export const withLevel = (command: Command): Command =>
  command
    .addOption(
      new Option(
        '--wait <level>',
        'return when it is local (on this disk, as without), relayed (on the relay for every standby in step) or replicated (on their disks)',
      ).argParser(parseLevel),
    )
    .option(
      '--timeout <time>',
      'with --wait: give up after so long (default: 60s); what was written stays',
      parseTimeout,
    )

export const waitingOf = ({ wait, timeout }: LevelOptions) => ({
  ...(wait === undefined ? {} : { wait }),
  ...(timeout === undefined ? {} : { timeoutMs: timeout }),
})

/** Says how far it came; fails when that is less than was asked for. Call it when the verb has printed its data. */
export function tellLevel(
  session: Session,
  acknowledged: Acknowledgement | undefined,
  wanted: Level | undefined,
): void {
  if (acknowledged === undefined || wanted === undefined) return
  const { done, level, copies, members, missing, left, reason, next, unreachable, waitedMs } = acknowledged
  if (!done) {
    const has = missing.map(
      ({ machine, relay }) => `${oneLine(machine)} (${relay ? 'it lies at the relay' : 'nowhere but here'})`,
    )
    const whom = has.length === 0 ? '' : `\nmissing: ${has.join(', ')}`
    throw new Failure(
      unreachable ? 'LEVEL_UNREACHABLE' : 'WAIT_TIMEOUT',
      unreachable
        ? (reason ?? `It cannot be ${wanted}.`)
        : `After ${Math.round(waitedMs / 1_000)} s it is ${level}, not ${wanted}: ${oneLine(reason ?? '')}. It is written here, and goes on its way.${whom}`,
      { next: next === null ? session.command('status') : atHome(session, next) },
    )
  }
  if (level !== wanted && left.length > 0) {
    const who = left.map((name) => oneLine(name)).join(', ')
    throw new Failure(
      'WAIT_TIMEOUT',
      `It is ${level}, not ${wanted}: ${who} left the sync set, and the agent goes on without. It is written here, and goes on its way.`,
      { next: session.command('status') },
    )
  }
  const disks = copies === 1 ? 'this disk' : `${copies} disks`
  session.output.hint(`${level}: ${[...members].map((name) => oneLine(name)).join(', ') || 'here'}; on ${disks}`)
}

function parseLevel(text: string): Level {
  const level = LEVELS.find((each) => each === text)
  if (level === undefined) throw new InvalidArgumentError(`It is one of ${LEVELS.join(', ')}.`)
  return level
}
