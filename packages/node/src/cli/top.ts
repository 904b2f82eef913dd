import { Failure } from '@sealmesh/protocol/errors'
import type { MethodResult, Status } from '@sealmesh/protocol/ipc/methods'
import { Command } from 'commander'
import { example } from './example.ts'
import { type Cli, type DoorSession, withDoor } from './session.ts'
import { topLines } from './top-words.ts'

type Traffic = MethodResult<'messages.traffic'>

/** How often the page is drawn anew. */
const EVERY_MS = 1_000
/** The terminal's second page, so that what stood there comes back; no cursor. */
const ENTER = '\u001b[?1049h\u001b[?25l'
const LEAVE = '\u001b[?25h\u001b[?1049l'
const HOME = '\u001b[H'
const CLEAR_LINE = '\u001b[K'
const CLEAR_BELOW = '\u001b[J'
const CTRL_C = '\u0003'
const COLUMNS = 100
const ROWS = 40

export const top = (cli: Cli): Command =>
  new Command('top')
    .summary('agents and messages of this machine, as they are now')
    .description(
      'A page that is drawn anew every second: agents, messages a second, how long they take, inboxes, documents, relays. q ends it. Without a terminal, or with --json, it is printed once. Numbers are those of the last ten seconds.',
    )
    .addHelpText('after', example('sealmesh top'))
    .action(
      withDoor(cli, async (session) => {
        const { output, terminal } = session
        const first = await look(session)
        output.data({ node: first.status.node.name, state: first.status.summary, ...first.traffic })
        if (output.json) return
        if (terminal.stdout.isTTY === true && terminal.env['TERM'] !== 'dumb') return live(session, first)
        output.print(...topLines(first.status, first.traffic, Date.now()))
      }),
    )

interface Look {
  readonly status: Status
  readonly traffic: Traffic
}

const look = async ({ door }: DoorSession): Promise<Look> => {
  const [status, traffic] = await Promise.all([door.call('status', {}), door.call('messages.traffic', {})])
  return { status, traffic }
}

async function live(session: DoorSession, first: Look): Promise<void> {
  const { terminal, door, signal } = session
  const { stdout, stdin } = terminal
  const ended = new AbortController()
  const end = (): void => ended.abort()
  const onKey = (keys: Buffer | string): void => {
    if (/[qQ]/.test(keys.toString()) || keys.toString().includes(CTRL_C)) end()
  }
  signal.addEventListener('abort', end, { once: true })
  void door.closed.then(end)
  stdout.write(ENTER)
  stdin.on('data', onKey)
  stdin.setRawMode?.(true)
  try {
    for (let now = first; !ended.signal.aborted; now = await look(session)) {
      stdout.write(page(session, now))
      await pause(EVERY_MS, ended.signal)
    }
  } catch (error) {
    // Asked while the connection ended, which was wanted.
    if (!ended.signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', end)
    stdin.off('data', onKey)
    stdin.setRawMode?.(false)
    stdin.pause()
    stdout.write(LEAVE)
  }
  if (!signal.aborted && (await isClosed(door.closed)))
    throw new Failure('NODE_NOT_RUNNING', 'The node has ended.', { next: session.command('up') })
}

/** Written over what stands there, line by line: to clear it first would flicker. */
function page({ terminal: { stdout }, output }: DoorSession, { status, traffic }: Look): string {
  // A terminal that was never told its size says 0.
  const columns = stdout.columns || COLUMNS
  const rows = stdout.rows || ROWS
  const [first = '', ...more] = topLines(status, traffic, Date.now())
  const [head = [], ...lines] = [`${first}  q ends`, ...more].map((line) => Array.from(line).slice(0, columns))
  const shown = [output.styled('bold', head.join('')), ...lines.map((line) => line.join(''))]
  return `${HOME}${shown.slice(0, Math.max(1, rows - 1)).join(`${CLEAR_LINE}\n`)}${CLEAR_LINE}${CLEAR_BELOW}`
}

const isClosed = (closed: Promise<void>): Promise<boolean> =>
  Promise.race([closed.then(() => true), Promise.resolve(false)])

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
    if (signal.aborted) done()
  })
}
