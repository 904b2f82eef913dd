import { resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Failure } from '@sealmesh/protocol/errors'
import { Command, Option } from 'commander'
import { connectDoor } from '../ipc/client.ts'
import { KeyStore } from '../keys/key-store.ts'
import type { RunningNode } from '../main.ts'
import { announce, failureReport, startDetached } from './detach.ts'
import { example } from './example.ts'
import { makeKit, refuseExisting } from './make-kit.ts'
import { keysPassphrase, passphraseFor } from './passphrase.ts'
import { oneLine } from './printable.ts'
import { relayWords, tellRelays } from './relay-words.ts'
import { type Cli, type Session, withHome } from './session.ts'
import { shortId } from './status.ts'
import { canAsk } from './terminal.ts'

interface Options {
  readonly name?: string
  readonly agent?: string
  readonly relay?: string
  readonly only?: boolean
  readonly claim?: string
  readonly logLevel?: string
  readonly detach?: boolean
  readonly announce?: boolean
  readonly kit?: string | false
  readonly passphraseFile?: string
}

/** Where the recovery kit of a mesh that is being founded goes, and what opens it. */
interface KitPlan {
  readonly path: string
  readonly passphrase: string
}
type Info = RunningNode['info']

const LOOK_AGAIN_MS = 2_000

export const up = (cli: Cli): Command =>
  new Command('up')
    .summary('run this node')
    .description(
      'Runs the node of this home until Ctrl-C or `sealmesh down`. The first time it founds a mesh: give it a relay. On further machines use `sealmesh join` first.',
    )
    .option(
      '--relay <address>',
      'the address that sealmesh-relay up prints, or none; later: one that has moved, or another one to use first',
    )
    .option('--only', 'with --relay: let the mesh forget the relays that it had')
    .addOption(new Option('--claim <code>', 'first time: the code that the relay prints').env('SEALMESH_CLAIM'))
    .option('--name <name>', "first time: this node's name (default: the machine's)")
    .option('--agent <name>', "first time: the name of its first agent (default: the node's)")
    .option('--kit <file>', 'first time: write the recovery kit there (default: ask, at a terminal)')
    .option('--no-kit', 'first time: write no recovery kit')
    .option(
      '--passphrase-file <file>',
      'read the passphrase of the keys, or the first time that of the kit, from there; - is standard input',
    )
    .option('--log-level <level>', 'debug, info, warn or error')
    .option('--detach', 'return when the node is up, and leave it running')
    .addOption(new Option('--announce').hideHelp())
    .addHelpText(
      'after',
      example('sealmesh up --name home --agent claude --relay ADDRESS --claim CODE', 'and from then on: sealmesh up'),
    )
    .action(
      withHome(cli, async (session, options: Options) => {
        const kit = await planKit(session, options)
        if (options.detach === true) {
          const passphrase = await keysPassphrase(session, options.passphraseFile)
          const environment = environmentOf(session, options)
          const info = await startDetached(session.home, argumentsOf(options), environment, passphrase)
          report(session, info)
          await founded(session, info, kit)
          await tellRelays(session, info.socketPath)
          return session.output.say(`The node runs in the background. Next: ${session.command('status')}`)
        }
        try {
          await runHere(session, options, kit)
        } catch (error) {
          if (options.announce === true && error instanceof Failure) announce(failureReport(error))
          throw error
        }
      }),
    )

async function runHere(session: Session, options: Options, kit: KitPlan | undefined): Promise<void> {
  const { startNode } = await import('../main.ts')
  const passphrase = await keysPassphrase(session, options.passphraseFile)
  const given = passphrase === undefined ? {} : { passphrase }
  const node = await startNode({ home: session.home.path, ...chosen(options), ...given })
  const stop = (): void => void node.close()
  session.signal.addEventListener('abort', stop, { once: true })
  if (session.signal.aborted) stop()
  if (options.announce === true) announce({ type: 'up', ...node.info })
  report(session, node.info)
  try {
    await founded(session, node.info, kit)
  } catch (error) {
    await node.close()
    throw error
  }
  const ended = new AbortController()
  const watching = session.output.json ? Promise.resolve() : narrate(session, node.info, ended.signal)
  try {
    await node.done
  } finally {
    ended.abort()
    session.signal.removeEventListener('abort', stop)
    await watching
  }
  session.output.say('the node has stopped')
}

function report({ output, command }: Session, info: Info): void {
  output.data({ home: info.home, socket: info.socketPath, node: info.node, mesh: info.mesh, firstRun: info.firstRun })
  output.say(`${output.styledTalk('bold', 'up')}: ${shortId(info.node)} in ${shortId(info.mesh)}, home ${info.home}`)
  if (info.firstRun) output.say(`This node has founded a new mesh. To let another machine in: ${command('pair')}`)
}

/** The first time a mesh is founded here: asked before the node starts, so that nothing is founded without an answer. */
async function planKit(session: Session, options: Options): Promise<KitPlan | undefined> {
  const isFirst = options.relay !== undefined && !(await KeyStore.exists(session.home.keys))
  if (typeof options.kit === 'string' && !isFirst)
    throw new Failure('USAGE', 'The recovery kit is written when a mesh is founded; this home has keys already.', {
      next: session.command(`key backup ${options.kit}`),
    })
  // The node that a detached start begins is told by the command that waits for it.
  if (!isFirst || options.kit === false || options.announce === true) return undefined
  if (options.kit === undefined && !canAsk(session.terminal)) return undefined
  const path = resolve(options.kit ?? KIT_FILE)
  await refuseExisting(path)
  return { path, passphrase: await passphraseFor(session, options.passphraseFile, 'new') }
}

async function founded(session: Session, info: Info, kit: KitPlan | undefined): Promise<void> {
  if (!info.firstRun || kit === undefined) return
  const door = await connectDoor(info.socketPath)
  try {
    await makeKit(session, door, kit.path, { kit: kit.passphrase, keys: undefined })
  } finally {
    await door.close()
  }
}

const KIT_FILE = 'sealmesh-recovery-kit.age'

/**
 * One line when the relay or a peer changes its state, asked for through the node's own door. Away from a terminal it
 * ends when the relay has answered: from then on the log has it all.
 */
async function narrate(session: Session, info: Info, signal: AbortSignal): Promise<void> {
  const { output, terminal } = session
  const said = new Map<string, string>()
  const say = (thing: string, state: string): void => {
    if (said.get(thing) !== state) output.say(`${thing}: ${state}`)
    said.set(thing, state)
  }
  try {
    const door = await connectDoor(info.socketPath)
    try {
      while (!signal.aborted) {
        const now = await door.call('status', {})
        for (const relay of now.relays) say(`relay ${oneLine(relay.address, 60)}`, relayWords(session, relay))
        for (const peer of now.peers) say(`peer ${oneLine(peer.name)}`, peer.state)
        for (const warning of now.warnings) say(`warning ${warning.code}`, oneLine(warning.message))
        if (terminal.stderr.isTTY !== true && now.relays.every((relay) => relay.state === 'live')) return
        await wait(LOOK_AGAIN_MS, undefined, { signal })
      }
    } finally {
      await door.close()
    }
  } catch (error) {
    // The node stops: its door closes, or the wait is broken off.
    if (!signal.aborted && !(error instanceof Failure && error.code === 'NODE_NOT_RUNNING')) throw error
  }
}

function chosen({ name, agent, relay, only, claim, logLevel }: Options) {
  return {
    ...(name === undefined ? {} : { name }),
    ...(agent === undefined ? {} : { agent }),
    ...(relay === undefined ? {} : { relay }),
    ...(only === undefined ? {} : { onlyRelay: only }),
    ...(claim === undefined ? {} : { claim }),
    ...(logLevel === undefined ? {} : { logLevel }),
  }
}

/** All but the claim code, which any user of the machine could read there for as long as the node runs. */
function argumentsOf({ name, agent, relay, only, logLevel }: Options): string[] {
  return [
    ...(name === undefined ? [] : ['--name', name]),
    ...(agent === undefined ? [] : ['--agent', agent]),
    ...(relay === undefined ? [] : ['--relay', relay]),
    ...(only === true ? ['--only'] : []),
    ...(logLevel === undefined ? [] : ['--log-level', logLevel]),
  ]
}

const environmentOf = ({ terminal }: Session, { claim }: Options): NodeJS.ProcessEnv =>
  claim === undefined ? terminal.env : { ...terminal.env, SEALMESH_CLAIM: claim }
