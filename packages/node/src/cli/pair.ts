import { setTimeout as wait } from 'node:timers/promises'
import { Failure, type FailureCode, reactions } from '@sealmesh/protocol/errors'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { Command } from 'commander'
import { ask, requirePerson } from './ask.ts'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, type DoorSession, withDoor } from './session.ts'
import { canAsk } from './terminal.ts'
import { span } from './when.ts'

interface Options {
  readonly yes?: boolean
  readonly code?: boolean
  readonly qr: boolean
}

type Pairing = MethodResult<'pair.start'>

const LOOK_AGAIN_MS = 200

export const pair = (cli: Cli): Command =>
  new Command('pair')
    .summary('let another machine join')
    .description(
      'Prints a link, valid once and for ten minutes, on stdout; then shows the four words that the other machine must show too, and asks.',
    )
    .option('--yes', 'confirm without asking: whoever has the link is let in')
    .option('--code', 'a short code to say aloud, for one try, instead of the link')
    .option('--no-qr', 'the link without its picture')
    .addHelpText('after', example('sealmesh pair', 'and on the other machine: sealmesh join LINK'))
    .action(
      withDoor(cli, async (session, options: Options) => {
        const unattended = options.yes === true
        const wantsCode = options.code === true
        if (wantsCode && (unattended || !canAsk(session.terminal)))
          throw new Failure('USAGE', 'A code is for two people at two terminals.', {
            next: session.command('pair --yes'),
          })
        if (!unattended) requirePerson(session, 'Comparing the words', 'pair --yes')
        const started = await session.door.call('pair.start', { autoConfirm: unattended, code: wantsCode })
        const cancel = (): void => void session.door.call('pair.cancel', {}).catch(() => undefined)
        session.signal.addEventListener('abort', cancel, { once: true })
        try {
          await announce(session, started, options)
          await seeThrough(session, started, unattended)
        } finally {
          session.signal.removeEventListener('abort', cancel)
        }
      }),
    )

async function announce(session: DoorSession, { link, code, expiresAt }: Pairing, options: Options): Promise<void> {
  const { output, command } = session
  if (link === null) return
  if (code !== null) return announceCode(session, code, expiresAt)
  output.data({ event: 'link', link, expiresAt })
  output.say(
    `On the other machine: sealmesh join LINK, with this link${expiresAt === null ? '' : ` within ${left(expiresAt)}`}:`,
  )
  output.print(link)
  if (options.qr) await showPicture(session, link)
  output.hint(
    `It lets one machine in. Whoever reads it first can try: keep it private. Ctrl-C takes it back (${command('pair')} makes another).`,
  )
}

function announceCode({ output, command }: DoorSession, code: string, expiresAt: string | null): void {
  output.data({ event: 'code', code, expiresAt })
  output.say(
    `On the other machine: sealmesh join CODE --relay ADDRESS, with this code${expiresAt === null ? '' : ` within ${left(expiresAt)}`}:`,
  )
  output.print(code)
  output.hint(
    `It is good for one try: a wrong one makes it void. Ctrl-C takes it back (${command('pair --code')} makes another).`,
  )
}

/** For a camera: on a terminal only, since a pipe wants the link and nothing else. */
async function showPicture({ output, terminal }: DoorSession, link: string): Promise<void> {
  if (output.json || terminal.stderr.isTTY !== true) return
  const { picture } = await import('./picture.ts')
  output.say(picture(link))
}

/** Follows one pairing to its end. Throws what it failed with. */
async function seeThrough(session: DoorSession, started: Pairing, unattended: boolean): Promise<void> {
  const { door, output } = session
  let shown = false
  for (let now = started; ; now = await nextView(session)) {
    switch (now.state) {
      case 'waiting':
        output.progress(`waiting for the other machine${now.expiresAt === null ? '' : `, ${left(now.expiresAt)} left`}`)
        break
      case 'confirm':
        // It stays in this state until the last message has arrived; ask once.
        if (shown) break
        shown = true
        showWords(session, now)
        if (unattended) await door.call('pair.confirm', { words: now.words })
        else await confirm(session, now)
        break
      case 'done':
        if (!shown && now.words.length > 0) showWords(session, now)
        output.data({ event: 'done', joinerName: now.joinerName })
        output.say(`${oneLine(now.joinerName ?? 'The other machine')} has joined. Nothing is shared with it yet.`)
        output.hint(
          `Next: ${session.command('agents add AGENT --standby NODE')}, ${session.command('share set AGENT LAYER=standby')}`,
        )
        return
      case 'expired':
        throw new Failure('PAIRING_TIMEOUT', 'Nobody used the link in time.')
      case 'none':
        throw new Failure('PAIRING_REFUSED', 'The link was taken back.')
      case 'failed':
        throw new Failure(codeOf(now.error?.code), now.error?.message ?? 'The pairing failed.')
    }
  }
}

async function nextView({ door, signal }: DoorSession): Promise<Pairing> {
  await wait(LOOK_AGAIN_MS, undefined, { signal })
  return await door.call('pair.status', {})
}

function showWords({ output }: DoorSession, { joinerName, words }: Pairing): void {
  output.data({ event: 'confirm', joinerName, words })
  output.say(`${oneLine(joinerName ?? 'A machine')} wants to join. It must show the same words:`)
  output.say(`  ${output.styledTalk('bold', words.map((word) => oneLine(word)).join(' '))}`)
}

async function confirm(session: DoorSession, { words }: Pairing): Promise<void> {
  if (await ask(session, 'Does it show the same words?')) {
    await session.door.call('pair.confirm', { words })
    return
  }
  if (!session.signal.aborted) await session.door.call('pair.cancel', {})
  throw new Failure('PAIRING_WORDS_DIFFER', 'You did not confirm the words, and the link is void.')
}

const left = (iso: string): string => span(Date.parse(iso) - Date.now())

const codeOf = (code: string | undefined): FailureCode =>
  code !== undefined && Object.hasOwn(reactions, code) ? (code as FailureCode) : 'PAIRING_REFUSED'
