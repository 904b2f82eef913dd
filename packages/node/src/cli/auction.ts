import { Auctions, cheapest } from '@sealmesh/agent/patterns/auctions'
import { Bidder, type Offered } from '@sealmesh/agent/patterns/bidder'
import { systemDeps } from '@sealmesh/agent/patterns/deps'
import { Failure } from '@sealmesh/protocol/errors'
import { AuctionCall, AuctionRecord } from '@sealmesh/protocol/messages/auction'
import { Command, InvalidArgumentError } from 'commander'
import { type AgentByOwner, asAgentOf } from './agent-by-owner.ts'
import { auctionRow, AUCTION_COLUMNS, showAuction } from './auction-words.ts'
import { callOf } from './call-of.ts'
import { example } from './example.ts'
import { type Kind, ownRecord, ownRecords } from './own-records.ts'
import { payloadOption } from './payload-option.ts'
import { oneLine } from './printable.ts'
import { type Cli, type DoorSession, withDoor } from './session.ts'
import { parseTimeout, timeoutOption } from './timeout-option.ts'
import { within } from './within.ts'

const AUCTIONS: Kind<AuctionRecord> = { word: 'auction', schema: AuctionRecord }

interface AsOption {
  readonly as?: string
}

export const auction = (cli: Cli): Command =>
  new Command('auction')
    .summary('let agents bid for work, and bid for one of them')
    .description(
      'Auctions: whoever calls one keeps it and awards it. `sealmesh auction TITLE` is `sealmesh auction call TITLE`.',
    )
    .addHelpText('after', example("sealmesh auction 'render scene 42' --capability render --as claude"))
    .addCommand(call(cli), { isDefault: true })
    .addCommand(bid(cli))
    .addCommand(wait(cli))
    .addCommand(list(cli))
    .addCommand(show(cli))

interface CallOptions extends AsOption {
  readonly capability: string
  readonly payload?: unknown
  readonly deadline: number
  readonly id?: string
}

const call = (cli: Cli): Command =>
  new Command('call')
    .summary('ask agents for bids, and print who has won')
    .description(
      'Invites all agents that are attached now and able, in the name of an agent of this machine, takes their bids until the deadline, and awards it to the cheapest that still has room. Exit code 10: it is not sold. `auction wait` goes on with one that was broken off.',
    )
    .argument('<title>', 'what it is, in a line')
    .requiredOption('--capability <name>', 'what whoever bids must be able to do')
    .option('--payload <json>', 'what bidders need to know: JSON, or a text', payloadOption)
    .addOption(timeoutOption('--deadline <time>', 'until when bids count', 10_000))
    .option('--as <agent>', 'the agent that calls it (the only one with a token here)')
    .option('--id <id>', 'its id; the same one again is the same auction')
    .addHelpText('after', example("sealmesh auction 'render scene 42' --capability render --as claude --deadline 30"))
    .action(
      withDoor(cli, async (session, title: string, options: CallOptions) => {
        await asAgentOf(session, { as: options.as, keeps: true }, async (agent) => {
          const { capability, deadline: withinMs } = options
          const id = options.id ?? systemDeps(agent.port).newId()
          const payload = (options.payload ?? null) as AuctionRecord['payload']
          await run(session, agent, { id, title, capability, payload, withinMs })
        })
      }),
    )

const wait = (cli: Cli): Command =>
  new Command('wait')
    .summary('go on with an auction of an agent of this machine')
    .description('Is the agent that called the auction until it is sold or not, and prints who has won.')
    .argument('<id>', 'as auction ls shows it')
    .option('--as <agent>', 'the agent that called it (the only one with a token here)')
    .addHelpText('after', example('sealmesh auction wait 8d1f7c52 --as claude'))
    .action(
      withDoor(cli, async (session, id: string, options: AsOption) => {
        await asAgentOf(session, { as: options.as, keeps: true }, async (agent) => {
          const { record } = await ownRecord(session, AUCTIONS, id, agent.port.name)
          await run(session, agent, { ...record, id, withinMs: 1 })
        })
      }),
    )

/** Until the winner has been told that it is final. */
const TOLD_MS = 2_000

async function run(
  session: DoorSession,
  agent: AgentByOwner,
  wanted: Parameters<Auctions['call']>[0] & { readonly id: string },
): Promise<void> {
  const { output, command } = session
  const { id } = wanted
  const { name } = agent.port
  const allTold = new Promise<void>((resolve) =>
    agent.onWritten((_, value) => {
      if ((JSON.parse(value) as AuctionRecord).told) resolve()
    }),
  )
  const auctions = await Auctions.start(systemDeps(agent.port), cheapest, { only: id })
  try {
    const lost = agent.hear({ to: id })
    const { over } = await auctions.call(wanted)
    output.hint(`the auction ${id} is called; should this end first: ${command(`auction wait ${id} --as ${name}`)}`)
    const { state } = await Promise.race([over, lost])
    if (state === 'sold') await within(TOLD_MS, [allTold, lost])
    const found = await ownRecord(session, AUCTIONS, id, name)
    output.data(found)
    output.print(...showAuction(found))
    if (state !== 'sold')
      throw new Failure('NO_OUTCOME', `The auction is ${state}.`, { next: command(`auction show ${id} --as ${name}`) })
  } finally {
    await auctions.close()
  }
}

interface BidOptions extends AsOption {
  readonly price: number
  readonly load: number
  readonly capacity: number
  readonly capability?: string
  readonly timeout?: number
}

/** After the deadline: every bidder before this one may be passed over, after ten seconds each. */
const AWARD_MS = 60_000
const POLL_MS = 500

const bid = (cli: Cli): Command =>
  new Command('bid')
    .summary('bid in the name of an agent of this machine')
    .description(
      'Bids in an auction that this agent was invited to, takes the award if it comes, and prints whether this agent has won. Without an id it waits for an auction: --capability says what the agent can do, so that it is invited. Exit code 10: another one has won.',
    )
    .argument('[id]', 'the id of the auction: `auction` in the payload of the call')
    .requiredOption('--price <number>', 'what it costs; the cheapest wins', amount)
    .option('--load <number>', 'work that it has now', amount, 0)
    .option('--capacity <number>', 'work that it can have at once', amount, 1)
    .option('--capability <name>', 'what it can do, for as long as this command runs and after it')
    .option('--as <agent>', 'the agent that bids (the only one with a token here)')
    .option(
      '--timeout <time>',
      'how long to wait, for an auction and for its end (a minute after its deadline)',
      parseTimeout,
    )
    .addHelpText('after', example('sealmesh auction bid --price 3 --capability render --as ada --timeout 10m'))
    .action(
      withDoor(cli, async (session, id: string | undefined, options: BidOptions) => {
        const { capability } = options
        const capabilities = capability === undefined ? {} : { capabilities: [capability] }
        await asAgentOf(session, { as: options.as, keeps: false, ...capabilities }, (agent) =>
          bidAs(session, agent, id, options),
        )
      }),
    )

async function bidAs(
  session: DoorSession,
  agent: AgentByOwner,
  id: string | undefined,
  { price, load, capacity, timeout }: BidOptions,
): Promise<void> {
  const { output } = session
  let hearOf: (call: Offered) => void = () => undefined
  const called = new Promise<Offered>((resolve) => {
    hearOf = resolve
  })
  let win: (call: Offered) => void = () => undefined
  const won = new Promise<Offered>((resolve) => {
    win = resolve
  })
  let first: string | undefined = id
  const bidder = new Bidder(systemDeps(agent.port), {
    bid: async (call) => {
      first ??= call.auction
      if (first !== call.auction) return null
      hearOf(call)
      return { price, load, capacity }
    },
    onWon: win,
  })
  try {
    if (id !== undefined) await agent.deliver((await callOf(session, agent, 'auction-call', id, AuctionCall)).message)
    const lost = id === undefined ? agent.hear({ type: 'auction-call' }) : undefined
    const call = await within(timeout ?? AWARD_MS, [called, ...(lost === undefined ? [] : [lost])])
    if (call === undefined)
      throw new Failure('WAIT_TIMEOUT', 'No auction has come.', { next: 'wait longer: --timeout 10m' })
    output.hint(oneLine(`bid ${price} in the auction ${call.auction} of ${call.caller}: ${call.title}`))
    const leftMs = timeout ?? Math.max(0, call.deadlineAtMs - Date.now()) + AWARD_MS
    const end = await within(leftMs, [won, agent.hear({ to: call.auction }), lostTo(session, agent, call)])
    if (end === undefined)
      throw new Failure('NO_OUTCOME', `${agent.port.name} has not won the auction ${call.auction}, or not yet.`)
    output.data({ won: true, auction: call.auction, caller: call.caller, title: call.title, payload: call.payload })
    output.print(oneLine(`won ${call.auction} of ${call.caller}: ${call.title}`))
  } finally {
    bidder.close()
  }
}

/** Nobody tells a loser; where this machine may read the register of the caller, it says so. */
async function lostTo(session: DoorSession, agent: AgentByOwner, { auction, caller }: Offered): Promise<never> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS).unref())
    const found = (await ownRecords(session, AUCTIONS, caller)).find(({ record }) => record.auction === auction)
    const { state, winner } = found?.record ?? { state: 'open', winner: null }
    if (state === 'unsold' || state === 'cancelled') throw new Failure('NO_OUTCOME', `The auction is ${state}.`)
    if (state === 'sold' && winner !== agent.port.name) throw new Failure('NO_OUTCOME', `${winner} has won.`)
  }
}

const list = (cli: Cli): Command =>
  new Command('ls')
    .summary('auctions that run')
    .description('Lists auctions that this machine may read: those that run, with --all ended ones too.')
    .option('--as <agent>', 'only those that this agent has called')
    .option('--all', 'also those that have ended')
    .addHelpText('after', example('sealmesh auction ls --all'))
    .action(
      withDoor(cli, async (session, options: AsOption & { readonly all?: boolean }) => {
        const { output } = session
        const found = (await ownRecords(session, AUCTIONS, options.as))
          .filter(({ record: { state } }) => options.all === true || state === 'open' || state === 'offered')
          .sort((a, b) => a.record.openedAtMs - b.record.openedAtMs)
        output.data({ auctions: found })
        if (found.length === 0) return output.hint(options.all === true ? 'none' : 'none runs; --all shows the others')
        output.table(AUCTION_COLUMNS, found.map(auctionRow))
      }),
    )

const show = (cli: Cli): Command =>
  new Command('show')
    .summary('one auction: its bids, and who has won')
    .description('Shows one auction as the agent that called it keeps it.')
    .argument('<id>', 'as auction ls shows it')
    .option('--as <agent>', 'the agent that called it, where several have one of that id')
    .addHelpText('after', example('sealmesh auction show 8d1f7c52'))
    .action(
      withDoor(cli, async (session, id: string, options: AsOption) => {
        const found = await ownRecord(session, AUCTIONS, id, options.as)
        session.output.data(found)
        session.output.print(...showAuction(found))
      }),
    )

function amount(text: string): number {
  const value = /^\d{1,7}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN
  if (value <= 1_000_000) return value
  throw new InvalidArgumentError('It is a number from 0 to 1000000.')
}
