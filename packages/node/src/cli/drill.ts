import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fromHex, isHex } from '@sealmesh/protocol/bytes'
import { DRILL_KINDS, type DrillKind } from '@sealmesh/protocol/drills/facts'
import { failedChecks, hashOfReport, type ReportFlaw, verifyReport } from '@sealmesh/protocol/drills/report'
import { Failure } from '@sealmesh/protocol/errors'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { SignPublicKey } from '@sealmesh/protocol/keys'
import { Command, Option } from 'commander'
import { rewriteConfig } from './config.ts'
import { example } from './example.ts'
import { oneLine } from './printable.ts'
import { type Cli, type Session, withDoor, withHome } from './session.ts'
import { moment } from './when.ts'
import { parseTimeout } from './timeout-option.ts'
import { wholeNumber } from './whole-number.ts'

type Shown = MethodResult<'drill.report'>

export const drill = (cli: Cli): Command =>
  new Command('drill')
    .summary('rehearse a takeover, and keep the report')
    .description(
      'A drill shows beforehand that a standby would bring an agent back: how fast, and with what. Both machines sign the report.',
    )
    .addHelpText('after', example('sealmesh drill run claude'))
    .addCommand(run(cli))
    .addCommand(list(cli))
    .addCommand(report(cli))
    .addCommand(schedule(cli))
    .addCommand(verify(cli))
    .addCommand(keys(cli))

const run = (cli: Cli): Command =>
  new Command('run')
    .summary('rehearse now, on a standby of the agent')
    .description(
      'The agent is rebuilt here, in a sandbox, at a point that its holder names, and compared. A shadow drill ends there: no term moves, nothing acts, nothing of it stays. A switchover moves the agent here and back; a kill drill ends the process of its holder, which has to agree in its config, and gives the agent back when the holder returns.',
    )
    .argument('<agent>', 'the agent')
    .addOption(kindOption('of this kind').default('shadow'))
    .option('--return-within <time>', 'how long a killed holder may take to come back (default: 10m)', parseTimeout)
    .addHelpText('after', example('sealmesh drill run claude --kind switchover'))
    .action(
      withDoor(cli, async ({ door, output }, agent: string, { kind, returnWithin: returnMs }: RunOptions) => {
        output.progress(`drilling ${oneLine(agent)}; a holder that does not answer is waited for, half a minute`)
        if (kind === 'kill')
          output.hint(
            'the process of the holder is killed: start it again on its machine, if nothing does it by itself',
          )
        const shown = await door.call('drill.run', {
          agent,
          kind,
          ...(returnMs === undefined ? {} : { returnMs }),
        })
        output.data(shown)
        output.print(verdict(shown), ...failures(shown))
        if (shown.next !== null) output.print(`  next: ${oneLine(shown.next, 300)}`)
        output.hint(`the report: ${oneLine(shown.file, 200)}`)
        if (!shown.passed) throw red(shown)
      }),
    )

const list = (cli: Cli): Command =>
  new Command('ls')
    .summary('the reports in this home, and when the next drill is due')
    .description('Lists the reports in this home, oldest first.')
    .addHelpText('after', example('sealmesh drill ls'))
    .action(
      withDoor(cli, async ({ door, output }) => {
        const listing = await door.call('drill.ls', {})
        output.data(listing)
        if (listing.reports.length > 0)
          output.table(
            [
              { title: 'AGENT' },
              { title: 'N', align: 'right' },
              { title: 'KIND' },
              { title: 'AT' },
              { title: '' },
              { title: 'STANDBY' },
              { title: 'HOLDER' },
            ],
            listing.reports.map(({ agent, number, kind, at, passed, standby, holder }) => [
              agent,
              String(number),
              kind,
              moment(at),
              passed ? 'passed' : 'FAILED',
              standby,
              holder,
            ]),
          )
        else output.hint('there is no report yet')
        for (const { agent, dueAt, overdue } of listing.drills)
          if (dueAt !== null) output.hint(`${oneLine(agent)} is due ${moment(dueAt)}${overdue ? ', and overdue' : ''}`)
      }),
    )

const report = (cli: Cli): Command =>
  new Command('report')
    .summary('print one, the newest if none is named')
    .description('Prints a report as Markdown. Its file, which `drill verify` takes, lies in the home.')
    .argument('[number]', 'as drill ls shows it', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--agent <agent>', 'of this agent')
    .addHelpText('after', example('sealmesh drill report 3'))
    .action(
      withDoor(cli, async ({ door, output }, given: number | undefined, { agent }: { readonly agent?: string }) => {
        const number = given === undefined ? {} : { number: given }
        const shown = await door.call('drill.report', { ...number, ...(agent === undefined ? {} : { agent }) })
        output.data(shown)
        output.content(shown.markdown, { endLine: true })
        output.hint(`the file: ${oneLine(shown.file, 200)}`)
      }),
    )

interface RunOptions {
  readonly kind: DrillKind
  readonly returnWithin?: number
}

const kindOption = (about: string): Option => new Option('--kind <kind>', about).choices(DRILL_KINDS)

interface ScheduleOptions {
  readonly kind?: DrillKind
  readonly every: string
  readonly at?: string
}

const schedule = (cli: Cli): Command =>
  new Command('schedule')
    .summary('drill regularly, on a standby of the agent')
    .description('Writes into the config of this node how often it drills. `status` says so when a drill is overdue.')
    .argument('<agent>', 'the agent')
    .requiredOption('--every <time>', 'such as 6h, 1d or 7d')
    .addOption(kindOption('what is run then (default: as it was, or shadow)'))
    .option('--at <time>', 'local time of day, such as 03:00; beside whole days only')
    .addHelpText('after', example('sealmesh drill schedule claude --every 1d --at 03:00'))
    .action(
      withHome(cli, async (session, agent: string, { every, at, kind }: ScheduleOptions) => {
        const [{ withValue, withoutValue }, { checkConfig }] = await Promise.all([
          import('../config/edit.ts'),
          import('../config/check.ts'),
        ])
        const key = `agents.${JSON.stringify(agent)}.drill`
        await rewriteConfig(session, (text) => {
          const config = checkConfig(text)
          const had =
            config.ok && Object.hasOwn(config.value.agents, agent) && config.value.agents[agent]?.drill.at !== undefined
          // A time of day is taken only beside whole days: out with the old one first, in with the new one last.
          const without = had ? withoutValue(text, `${key}.at`) : text
          const timed = withValue(without, `${key}.every`, JSON.stringify(every))
          const withEvery = kind === undefined ? timed : withValue(timed, `${key}.kind`, JSON.stringify(kind))
          return at === undefined ? withEvery : withValue(withEvery, `${key}.at`, JSON.stringify(at))
        })
      }),
    )

const verify = (cli: Cli): Command =>
  new Command('verify')
    .summary('check a report with public keys alone')
    .description(
      'Checks both signatures, and that the verdict follows from the facts. With --keys it needs no node: `drill keys` prints them on a machine that you trust.',
    )
    .argument('<file>', 'a report, as JSON')
    .option('--keys <file>', 'public keys by node, as drill keys prints them (default: those that this node knows)')
    .addHelpText('after', example('sealmesh drill verify claude-0003-5fe0a1b2.json --keys keys.json'))
    .action(
      withHome(cli, async (session, file: string, { keys: given }: { readonly keys?: string }) => {
        const { output } = session
        const known = given === undefined ? await keysOfNode(session) : parseKeys(await read(given))
        const { loadSodium } = await import('@sealmesh/sodium/load')
        const sodium = await loadSodium()
        const verified = verifyReport(await read(file), (node) => known.get(node), sodium)
        if (!verified.ok)
          throw new Failure('REPORT_INVALID', flawInWords(verified.error), nextFor(verified.error, session))
        const { report: found } = verified.value
        const { agent, number, kind, passed, standby, holder } = found
        output.data({
          agent: agent.name,
          number,
          kind,
          passed,
          standby: standby.name,
          holder: holder.name,
          hash: hashOfReport(found, sodium),
          previous: found.facts.point.previous,
          failed: failedChecks(found).map(({ name }) => name),
        })
        output.print(
          `genuine: drill ${number} of ${oneLine(agent.name)}, ${kind}, ${passed ? 'passed' : 'FAILED'}, signed by ${verified.value.signatures.map(({ node }) => oneLine(node === holder.id ? holder.name : standby.name)).join(' and ')}`,
        )
      }),
    )

const keys = (cli: Cli): Command =>
  new Command('keys')
    .summary('print the public keys that reports are verified with')
    .description(
      'Prints the public signing key of every node of the mesh, by its id. Keep it where reports are checked.',
    )
    .addHelpText('after', example('sealmesh drill keys > keys.json'))
    .action(
      withDoor(cli, async ({ door, output }) => {
        const { keys: all } = await door.call('drill.keys', {})
        output.data(all)
        output.print(JSON.stringify(all, undefined, 2))
      }),
    )

const verdict = ({ agent, number, kind, passed, standby, holder }: Shown): string =>
  `drill ${number} of ${oneLine(agent)} (${kind}, ${oneLine(standby)} for ${oneLine(holder)}): ${passed ? 'passed' : 'FAILED'}`

const failures = ({ failed }: Shown): string[] =>
  failed.map(({ name, target, actual }) => `  ${name}: ${oneLine(actual, 200)}; wanted: ${oneLine(target, 200)}`)

const red = ({ agent, number, failed }: Shown): Failure =>
  new Failure('DRILL_FAILED', `Drill ${number} of ${agent} is red: ${failed.map(({ name }) => name).join(', ')}.`)

async function read(file: string): Promise<Uint8Array> {
  try {
    return await readFile(resolve(file))
  } catch (error) {
    throw new Failure('FILE_NOT_FOUND', `The file ${file} cannot be read.`, { cause: error })
  }
}

async function keysOfNode({ home, command }: Session): Promise<ReadonlyMap<string, SignPublicKey>> {
  const [{ connectDoor }, { findSocket }] = await Promise.all([
    import('../ipc/client.ts'),
    import('../keys/socket-path.ts'),
  ])
  try {
    const door = await connectDoor(await findSocket(home))
    try {
      const { keys: all } = await door.call('drill.keys', {})
      return new Map(Object.entries(all).map(([node, key]) => [node, fromHex(key) as SignPublicKey]))
    } finally {
      await door.close()
    }
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== 'NODE_NOT_RUNNING') throw error
    throw new Failure(
      'NODE_NOT_RUNNING',
      `No node runs on the home ${home.path} that could say whose keys are whose.`,
      {
        cause: error,
        next: `${command('up')}, or give the keys: --keys FILE`,
      },
    )
  }
}

function parseKeys(bytes: Uint8Array): ReadonlyMap<string, SignPublicKey> {
  const unusable = (): Failure =>
    new Failure('USAGE', 'That is no file of keys.', { next: 'sealmesh drill keys > FILE' })
  let parsed: unknown
  try {
    parsed = JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    throw unusable()
  }
  if (typeof parsed !== 'object' || parsed === null) throw unusable()
  const entries = Object.entries(parsed)
  if (!entries.every(([node, key]) => isHex(node, 32) && typeof key === 'string' && isHex(key, 32))) throw unusable()
  return new Map(entries.map(([node, key]) => [node as NodeId, fromHex(key as string) as SignPublicKey]))
}

function flawInWords(flaw: ReportFlaw): string {
  switch (flaw.code) {
    case 'REPORT_MALFORMED':
      return 'That is no report, or it was changed.'
    case 'REPORT_KEY_UNKNOWN':
      return `The key of node ${flaw.node} is not among those given.`
    case 'REPORT_SIGNATURE':
      return `Node ${flaw.node} did not sign this.`
    case 'REPORT_INCONSISTENT':
      return `It was signed, and contradicts itself: ${flaw.at}.`
  }
}

const nextFor = (flaw: ReportFlaw, { command }: Session): { next?: string } =>
  flaw.code === 'REPORT_KEY_UNKNOWN' ? { next: `on a machine of that mesh: ${command('drill keys')}` } : {}
