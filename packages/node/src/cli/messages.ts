import { Failure } from '@sealmesh/protocol/errors'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { EVERYBODY } from '@sealmesh/protocol/messages/addresses'
import type { Message } from '@sealmesh/protocol/messages/message'
import { Command } from 'commander'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, type DoorSession, withDoor } from './session.ts'
import { timeoutOption } from './timeout-option.ts'
import { wholeNumber } from './whole-number.ts'

/** `send`, `broadcast`, `request` and `inbox`: messages in the name of an agent of this machine. */

/** One question to the node lasts no longer; what is waited for longer is asked again. */
const ASK_MS = 20_000

interface SendOptions {
  readonly as?: string
  readonly type: string
  readonly priority: number
  readonly durable?: boolean
}

interface WaitOptions {
  readonly wait?: true | string
  readonly timeout: number
}

type Sent = MethodResult<'messages.send'>

const sending = (command: Command, type: string): Command =>
  command
    .option('--as <agent>', 'the agent that sends it (the only one with a token here)')
    .option('--type <type>', 'what kind of message it is', type)
    .option('--priority <n>', '0 low, 1 normal, 2 urgent, 3 critical', wholeNumber(0, 3), 1)
    .option('--durable', 'keep it on disk until the recipient has read it')

export const send = (cli: Cli): Command =>
  sending(new Command('send'), 'text')
    .summary('send a message to an agent, here or on another machine')
    .description(
      'Sends a text to an agent, agent@machine or #topic, in the name of an agent of this machine. On another machine it reaches whoever grants its layer inbox to the sender (sealmesh share set BOB inbox=ALICE:write there).',
    )
    .argument('<to>', 'an agent, agent@machine or #topic')
    .argument('<text>', 'what it says')
    .option('--wait [level]', 'until it is in the inbox (taken) or the recipient is done with it (acknowledged)')
    .addOption(timeoutOption('--timeout <time>', 'how long to wait for that', 60_000))
    .addHelpText('after', example('sealmesh send bob "the report is ready" --as alice --durable --wait'))
    .action(
      withDoor(cli, async (session, to: string, text: string, options: SendOptions & WaitOptions) => {
        const level = levelOf(options, to)
        const sent = await post(session, to, text, options)
        if (level === undefined) return tellSent(session, sent)
        const state = await settled(session, sent.id, level, options.timeout)
        tellSent(session, sent, state)
        if (state === 'waiting' || (state === 'taken' && level === 'acknowledged'))
          throw new Failure('WAIT_TIMEOUT', `${sent.id} is ${state === 'taken' ? 'in its inbox' : 'on its way'}.`, {
            next: session.command(`trace ${sent.id}`),
          })
        if (state !== 'taken' && state !== 'acknowledged')
          throw new Failure('UNDELIVERED', `${sent.id} has ended on its way: ${state}.`, {
            next: session.command(`trace ${sent.id}`),
          })
      }),
    )

function levelOf({ wait }: WaitOptions, to: string): 'taken' | 'acknowledged' | undefined {
  if (wait === undefined) return undefined
  if (to === EVERYBODY || to.startsWith('#')) throw new Failure('USAGE', 'One recipient is waited for: name it.')
  if (wait === 'taken' || wait === 'acknowledged') return wait
  if (wait === true) return 'acknowledged'
  throw new Failure('USAGE', 'Wait until it is taken, or until it is acknowledged.')
}

async function settled({ door }: DoorSession, id: string, level: 'taken' | 'acknowledged', timeoutMs: number) {
  const endMs = performance.now() + timeoutMs
  for (;;) {
    const waitMs = Math.max(0, Math.min(ASK_MS, Math.round(endMs - performance.now())))
    const { state } = await door.call('messages.settled', { id, level, waitMs })
    const isOpen = state === 'waiting' || (state === 'taken' && level === 'acknowledged')
    if (!isOpen || performance.now() >= endMs) return state
  }
}

export const broadcast = (cli: Cli): Command =>
  sending(new Command('broadcast'), 'text')
    .summary('send a message to every agent that may be written to')
    .description('Sends a text to all agents, here and on other machines, that the sender may write to.')
    .argument('<text>', 'what it says')
    .addHelpText('after', example('sealmesh broadcast "going down at six" --as alice'))
    .action(
      withDoor(cli, async (session, text: string, options: SendOptions) => {
        tellSent(session, await post(session, EVERYBODY, text, options))
      }),
    )

export const request = (cli: Cli): Command =>
  sending(new Command('request'), 'question')
    .summary('ask an agent something, and wait for its answer')
    .description(
      'Sends a text to one agent and prints the message that answers it. No program may be attached as the sender meanwhile: it would read the answer.',
    )
    .argument('<to>', 'an agent, or agent@machine')
    .argument('<text>', 'the question')
    .addOption(timeoutOption('--timeout <time>', 'how long to wait for the answer', 60_000))
    .addHelpText('after', example('sealmesh request bob "how far are you?" --as alice'))
    .action(
      withDoor(cli, async (session, to: string, text: string, options: SendOptions & { readonly timeout: number }) => {
        const { door, output } = session
        if (to === EVERYBODY || to.startsWith('#'))
          throw new Failure('USAGE', 'One agent is asked: name it.', { next: session.command('agents ls') })
        // Before the question leaves: whoever may not hear the answer need not ask.
        const { as } = await door.call('messages.take', { ...asOf(options), limit: 0 })
        const { id } = await post(session, to, text, { ...options, as })
        const endMs = performance.now() + options.timeout
        for (;;) {
          const waitMs = Math.max(0, Math.min(ASK_MS, Math.round(endMs - performance.now())))
          const { message } = await door.call('messages.answer', { as, to: id, asked: to, waitMs })
          if (message !== null) {
            output.data({ message })
            return output.print(textOf(message))
          }
          if (performance.now() >= endMs)
            throw new Failure('WAIT_TIMEOUT', `No answer has come to ${id}.`, {
              next: session.command(`inbox --as ${as}`),
            })
        }
      }),
    )

export const inbox = (cli: Cli): Command =>
  new Command('inbox')
    .summary('read what waits for an agent of this machine')
    .description(
      'Prints the messages that wait for an agent of this machine and takes them out of its inbox. Not while a program is attached as that agent: it reads them.',
    )
    .option('--as <agent>', 'the agent (the only one with a token here)')
    .addOption(timeoutOption('--wait <time>', 'wait so long for the first one', 0))
    .addHelpText('after', example('sealmesh inbox --as alice --wait 30'))
    .action(
      withDoor(cli, async ({ door, output }, options: { readonly as?: string; readonly wait: number }) => {
        const messages: Message[] = []
        const endMs = performance.now() + options.wait
        for (;;) {
          const waitMs = messages.length > 0 ? 0 : Math.max(0, Math.min(ASK_MS, Math.round(endMs - performance.now())))
          const { as, deliveries } = await door.call('messages.take', { ...asOf(options), waitMs })
          const last = deliveries.at(-1)
          if (last === undefined) {
            if (messages.length === 0 && performance.now() < endMs) continue
            break
          }
          for (const { message } of deliveries) output.print(lineOf(message))
          messages.push(...deliveries.map(({ message }) => message))
          // Printed first: what is lost between the two comes again.
          await door.call('messages.ack', { as, place: last.place })
        }
        output.data({ messages })
        if (messages.length === 0) output.hint('nothing waits')
      }),
    )

function post({ door }: DoorSession, to: string, payload: string, options: SendOptions): Promise<Sent> {
  const { type, priority, durable = false } = options
  const level = priority === 0 || priority === 2 || priority === 3 ? priority : 1
  return door.call('messages.send', { ...asOf(options), to, type, payload, priority: level, durable })
}

const asOf = ({ as }: { readonly as?: string }) => (as === undefined ? {} : { as })

function tellSent(
  { output, command }: DoorSession,
  sent: Sent,
  state?: MethodResult<'messages.settled'>['state'],
): void {
  output.data(state === undefined ? sent : { ...sent, state })
  const { id, as, delivered, waiting, refused } = sent
  output.print(
    oneLine(
      `${id} from ${as}: ${delivered} delivered, ${waiting} waiting, ${refused} refused${state === undefined ? '' : `; ${state}`}`,
    ),
  )
  if (delivered + waiting + refused === 0) output.hint(`Nobody is there who may get it: ${command('agents ls')}`)
}

const textOf = ({ payload }: Message): string =>
  typeof payload === 'string' ? oneLine(payload) : oneLine(JSON.stringify(payload))

const lineOf = (message: Message): string =>
  `${message.sentAt} ${oneLine(message.from)} ${oneLine(message.type)}: ${textOf(message)}`
