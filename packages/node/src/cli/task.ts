import { systemDeps } from '@sealmesh/agent/patterns/deps'
import { Tasks } from '@sealmesh/agent/patterns/tasks'
import { Failure } from '@sealmesh/protocol/errors'
import { TASK_REASSIGN, TaskRecord } from '@sealmesh/protocol/messages/task'
import { Command } from 'commander'
import { asAgentOf } from './agent-by-owner.ts'
import { example } from './example.ts'
import { type Found, type Kind, ownRecord, ownRecords } from './own-records.ts'
import { payloadOption } from './payload-option.ts'
import { oneLine } from './printable.ts'
import { type Cli, type DoorSession, withDoor } from './session.ts'
import { showTask, taskRow, TASK_COLUMNS } from './task-words.ts'
import { parseTimeout, timeoutOption } from './timeout-option.ts'
import { within } from './within.ts'

const TASKS: Kind<TaskRecord> = { word: 'task', schema: TaskRecord }

interface AsOption {
  readonly as?: string
}

export const task = (cli: Cli): Command =>
  new Command('task')
    .summary('tasks that agents give to one another')
    .description('Tasks: what was asked for, who has it, and what became of it. Each is kept by the agent that asked.')
    .addHelpText('after', example('sealmesh task ls'))
    .addCommand(list(cli))
    .addCommand(show(cli))
    .addCommand(add(cli))
    .addCommand(wait(cli))
    .addCommand(reassign(cli))

const list = (cli: Cli): Command =>
  new Command('ls')
    .summary('tasks that are not settled')
    .description(
      'Lists tasks of all agents that this machine may read: open and assigned ones, with --all the others too.',
    )
    .option('--as <agent>', 'only those that this agent asked for')
    .option('--all', 'also those that are done, failed or cancelled')
    .addHelpText('after', example('sealmesh task ls --as claude'))
    .action(
      withDoor(cli, async (session, options: AsOption & { readonly all?: boolean }) => {
        const { output } = session
        const found = (await ownRecords(session, TASKS, options.as))
          .filter(({ record }) => options.all === true || !isSettled(record))
          .sort((a, b) => a.record.openedAtMs - b.record.openedAtMs)
        output.data({ tasks: found })
        if (found.length === 0)
          return output.hint(options.all === true ? 'none' : 'none is open; --all shows the others')
        output.table(TASK_COLUMNS, found.map(taskRow))
      }),
    )

const show = (cli: Cli): Command =>
  new Command('show')
    .summary('one task: its state, its result, and what happened to it')
    .description('Shows one task as the agent that asked for it keeps it.')
    .argument('<id>', 'as task ls shows it')
    .option('--as <agent>', 'the agent that asked for it, where several have one of that id')
    .addHelpText('after', example('sealmesh task show 8d1f7c52'))
    .action(
      withDoor(cli, async (session, id: string, options: AsOption) => {
        const found = await ownRecord(session, TASKS, id, options.as)
        session.output.data(found)
        session.output.print(...showTask(found))
      }),
    )

interface AddOptions extends AsOption {
  readonly capability: string
  readonly payload?: unknown
  readonly within?: number
  readonly to?: string
  readonly id?: string
  readonly wait?: number
}

/** Long enough to find somebody who is there, and to hear that he has it. */
const GIVEN_MS = 2_000

const add = (cli: Cli): Command =>
  new Command('add')
    .summary('give a task to whoever can do it best')
    .description(
      'Opens a task in the name of an agent of this machine and gives it away. What becomes of it is recorded while `task wait`, or a program of that agent, runs; until then results wait in its inbox.',
    )
    .argument('<title>', 'what it is, in a line')
    .requiredOption('--capability <name>', 'what whoever does it must be able to do')
    .option('--as <agent>', 'the agent that asks (the only one with a token here)')
    .option('--payload <json>', 'what the worker needs: JSON, or a text', payloadOption)
    .option('--within <time>', 'fails when it is not done by then', parseTimeout)
    .option('--to <agent>', 'tried first')
    .option('--id <id>', 'its id; the same one again is the same task')
    .option('--wait <time>', 'wait so long until it is done', parseTimeout)
    .addHelpText(
      'after',
      example('sealmesh task add "the talk of Monday" --capability transcribe --as claude --wait 10m'),
    )
    .action(
      withDoor(cli, async (session, title: string, options: AddOptions) => {
        await asAgentOf(session, { as: options.as, keeps: true }, async (agent) => {
          const deps = systemDeps(agent.port)
          const id = options.id ?? deps.newId()
          const tasks = await Tasks.start(deps, { only: id })
          try {
            const lost = agent.hear({ to: id })
            const given = new Promise<void>((resolve) =>
              agent.onWritten((_, value) => {
                if ((JSON.parse(value) as TaskRecord).history.at(-1)?.event === 'accepted') resolve()
              }),
            )
            const { settled } = await tasks.open({
              id,
              title,
              capability: options.capability,
              payload: (options.payload ?? null) as TaskRecord['payload'],
              ...(options.within === undefined ? {} : { withinMs: options.within }),
              ...(options.to === undefined ? {} : { prefer: options.to }),
            })
            session.output.progress(`task ${id}`)
            const done = await within(options.wait ?? GIVEN_MS, [
              settled,
              lost,
              ...(options.wait === undefined ? [given.then(() => undefined)] : []),
            ])
            await told(session, agent.port.name, id, done, options.wait)
          } finally {
            await tasks.close()
          }
        })
      }),
    )

const wait = (cli: Cli): Command =>
  new Command('wait')
    .summary('go on with a task of an agent of this machine until it is done')
    .description(
      'Is the agent that asked for the task until it is settled: gives it to another agent when one declines or says nothing, and records the result.',
    )
    .argument('<id>', 'as task ls shows it')
    .option('--as <agent>', 'the agent that asked for it (the only one with a token here)')
    .addOption(timeoutOption('--timeout <time>', 'how long to wait', 60_000))
    .addHelpText('after', example('sealmesh task wait 8d1f7c52 --as claude --timeout 10m'))
    .action(
      withDoor(cli, async (session, id: string, options: AsOption & { readonly timeout: number }) => {
        await asAgentOf(session, { as: options.as, keeps: true }, async (agent) => {
          const { record } = await ownRecord(session, TASKS, id, agent.port.name)
          const tasks = await Tasks.start(systemDeps(agent.port), { only: id })
          try {
            const { title, capability, payload } = record
            const { settled } = await tasks.open({ id, title, capability, payload })
            const done = await within(options.timeout, [settled, agent.hear({ to: id })])
            await told(session, agent.port.name, id, done, options.timeout)
          } finally {
            await tasks.close()
          }
        })
      }),
    )

interface ReassignOptions extends AsOption {
  readonly to?: string
  readonly timeout: number
}

const reassign = (cli: Cli): Command =>
  new Command('reassign')
    .summary('give a task to another agent')
    .description(
      'Takes a task from whoever has it and gives it to another agent. The program that is attached as the agent that asked does that; where there is none, this command does. Should the first one have done it all the same, its result counts.',
    )
    .argument('<id>', 'as task ls shows it')
    .option('--to <agent>', 'tried first')
    .option('--as <agent>', 'the agent that asked for it, where several have one of that id')
    .addOption(timeoutOption('--timeout <time>', 'how long to wait until somebody has it', 15_000))
    .addHelpText('after', example('sealmesh task reassign 8d1f7c52 --to bob'))
    .action(
      withDoor(cli, async (session, id: string, options: ReassignOptions) => {
        const before = await ownRecord(session, TASKS, id, options.as)
        if (isSettled(before.record))
          throw new Failure('USAGE', `The task is ${before.record.state}.`, {
            next: session.command(`task show ${id}`),
          })
        if (options.to !== undefined && options.to === before.record.assignee)
          throw new Failure('USAGE', `${options.to} has it.`, { next: session.command(`task show ${id}`) })
        const moved = (await isAttached(session, before.agent))
          ? await tellAsker(session, before, options)
          : await moveHere(session, before, options)
        session.output.data(moved)
        const { assignee, state } = moved.record
        session.output.print(
          oneLine(assignee === null ? `${id}: ${state}; nobody able has room yet` : `${id}: ${state}, ${assignee}`),
        )
      }),
    )

const isAttached = async ({ door }: DoorSession, name: string): Promise<boolean> =>
  (await door.call('agents.here', {})).agents.some((each) => each.name === name && each.state === 'attached')

/** The program that keeps the task is its one writer: it is told, as the agent itself, and what it writes is read. */
async function tellAsker(
  session: DoorSession,
  { agent, record }: Found<TaskRecord>,
  { to = null, timeout }: { readonly to?: string | null; readonly timeout: number },
): Promise<Found<TaskRecord>> {
  await session.door.call('messages.send', {
    as: agent,
    to: agent,
    type: TASK_REASSIGN,
    payload: { task: record.id, to },
    correlation: record.id,
    durable: true,
  })
  const wasGiven = record.assigned.length
  const endMs = performance.now() + timeout
  for (;;) {
    const now = await ownRecord(session, TASKS, record.id, agent)
    if (isSettled(now.record) || now.record.assigned.length > wasGiven) return now
    if (performance.now() >= endMs) {
      if (now.record.history.length !== record.history.length && now.record.assignee === null) return now
      throw new Failure(
        'WAIT_TIMEOUT',
        `The program that is ${agent} was told, and has not given it to anybody else.`,
        {
          next: session.command(`task show ${record.id}`),
        },
      )
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

const POLL_MS = 100

async function moveHere(
  session: DoorSession,
  { agent: asker, record }: Found<TaskRecord>,
  { to = null, timeout }: { readonly to?: string | null; readonly timeout: number },
): Promise<Found<TaskRecord>> {
  await asAgentOf(session, { as: asker, keeps: true }, async (agent) => {
    const given = new Promise<void>((resolve) =>
      agent.onWritten((_, value) => {
        if ((JSON.parse(value) as TaskRecord).history.at(-1)?.event === 'accepted') resolve()
      }),
    )
    const tasks = await Tasks.start(systemDeps(agent.port), { only: record.id })
    try {
      await tasks.reassign(record.id, to)
      await within(timeout, [given, agent.hear({ to: record.id })])
    } finally {
      await tasks.close()
    }
  })
  return ownRecord(session, TASKS, record.id, asker)
}

/** How it ended; or that it goes on, and how to go on waiting. Throws NO_OUTCOME, WAIT_TIMEOUT. */
async function told(
  session: DoorSession,
  asker: string,
  id: string,
  done: TaskRecord | undefined,
  waited: number | undefined,
): Promise<void> {
  const { output, command } = session
  const now = await ownRecord(session, TASKS, id, asker)
  output.data(now)
  output.print(...showTask(now))
  const again = command(`task wait ${id} --as ${asker}`)
  if (done !== undefined && done.state !== 'done')
    throw new Failure('NO_OUTCOME', `The task ${id} is ${done.state}.`, { next: command(`task show ${id}`) })
  if (done === undefined && waited !== undefined)
    throw new Failure('WAIT_TIMEOUT', `The task ${id} is not done yet.`, { next: again })
  if (done === undefined) output.hint(`go on with it: ${again}`)
}

const isSettled = ({ state }: TaskRecord): boolean => state !== 'open' && state !== 'assigned'
