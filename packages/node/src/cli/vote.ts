import { systemDeps } from '@sealmesh/agent/patterns/deps'
import { Voter } from '@sealmesh/agent/patterns/voter'
import { Votes } from '@sealmesh/agent/patterns/votes'
import { Failure } from '@sealmesh/protocol/errors'
import { VOTE_RECEIPT, VoteCall, VoteReceipt, VoteRecord, VoteRule } from '@sealmesh/protocol/messages/vote'
import { Command, Option } from 'commander'
import { type AgentByOwner, asAgentOf } from './agent-by-owner.ts'
import { callOf } from './call-of.ts'
import { example } from './example.ts'
import { type Kind, ownRecord, ownRecords } from './own-records.ts'
import { type Cli, type DoorSession, withDoor } from './session.ts'
import { timeoutOption } from './timeout-option.ts'
import { showVote, voteLine, voteRow, VOTE_COLUMNS } from './vote-words.ts'
import { wholeNumber } from './whole-number.ts'
import { within } from './within.ts'

const VOTES: Kind<VoteRecord> = { word: 'vote', schema: VoteRecord }

interface AsOption {
  readonly as?: string
}

export const vote = (cli: Cli): Command =>
  new Command('vote')
    .summary('let agents vote, and vote for one of them')
    .description(
      'Votes: whoever calls one keeps it and counts. `sealmesh vote AGENT...` is `sealmesh vote call AGENT...`.',
    )
    .addHelpText('after', example("sealmesh vote ada bob --question 'Deploy today?' --options yes,no --as claude"))
    .addCommand(call(cli), { isDefault: true })
    .addCommand(cast(cli))
    .addCommand(wait(cli))
    .addCommand(list(cli))
    .addCommand(show(cli))

interface CallOptions extends AsOption {
  readonly question: string
  readonly options: readonly string[]
  readonly quorum?: number
  readonly rule: VoteRule
  readonly deadline: number
  readonly id?: string
}

const call = (cli: Cli): Command =>
  new Command('call')
    .summary('ask agents to vote, and print what they decide')
    .description(
      'Calls a vote in the name of an agent of this machine, prints each vote when it is recorded, and the outcome once everybody has voted or the deadline is over. Exit code 10: no decision. `vote wait` goes on with one that was broken off.',
    )
    .argument('<agents...>', 'who may vote; the caller may not')
    .requiredOption('--question <text>', 'what is asked')
    .requiredOption('--options <list>', 'what they choose from, separated by commas', listOf)
    .option('--quorum <n>', 'votes that are needed, abstentions among them (more than half)', wholeNumber(1, 128))
    .addOption(
      new Option('--rule <rule>', 'plurality: most votes; majority: more than half of them')
        .choices(VoteRule.options)
        .default('plurality'),
    )
    .addOption(timeoutOption('--deadline <time>', 'until when votes count', 60_000))
    .option('--as <agent>', 'the agent that calls it (the only one with a token here)')
    .option('--id <id>', 'its id; the same one again is the same vote')
    .addHelpText('after', example("sealmesh vote ada bob --question 'Deploy today?' --options yes,no --as claude"))
    .action(
      withDoor(cli, async (session, electorate: string[], options: CallOptions) => {
        await asAgentOf(session, { as: options.as, keeps: true }, async (agent) => {
          const deps = systemDeps(agent.port)
          const id = options.id ?? deps.newId()
          await run(session, agent, id, (votes) =>
            votes.call({
              id,
              question: options.question,
              options: options.options,
              electorate,
              rule: options.rule,
              withinMs: options.deadline,
              ...(options.quorum === undefined ? {} : { quorum: options.quorum }),
            }),
          )
        })
      }),
    )

const wait = (cli: Cli): Command =>
  new Command('wait')
    .summary('go on with a vote of an agent of this machine')
    .description('Is the agent that called the vote until it has ended, and prints the outcome.')
    .argument('<id>', 'as vote ls shows it')
    .option('--as <agent>', 'the agent that called it (the only one with a token here)')
    .addHelpText('after', example('sealmesh vote wait 8d1f7c52 --as claude'))
    .action(
      withDoor(cli, async (session, id: string, options: AsOption) => {
        await asAgentOf(session, { as: options.as, keeps: true }, async (agent) => {
          const { record } = await ownRecord(session, VOTES, id, agent.port.name)
          await run(session, agent, id, (votes) => votes.call({ ...record, id, withinMs: 1 }))
        })
      }),
    )

/** Of what follows from an outcome: everybody is told it, and that is written down. */
const TOLD_MS = 2_000

async function run(
  session: DoorSession,
  agent: AgentByOwner,
  id: string,
  begin: (votes: Votes) => ReturnType<Votes['call']>,
): Promise<void> {
  const { output, command } = session
  const { name } = agent.port
  let shown = 0
  const allTold = new Promise<void>((resolve) =>
    agent.onWritten((_, value) => {
      const record = JSON.parse(value) as VoteRecord
      for (const each of record.votes.slice(shown)) output.print(voteLine(each))
      shown = Math.max(shown, record.votes.length)
      if (record.told) resolve()
    }),
  )
  const votes = await Votes.start(systemDeps(agent.port), { only: id })
  try {
    const lost = agent.hear({ to: id })
    const { outcome } = await begin(votes)
    output.hint(`the vote ${id} is called; should this end before it does: ${command(`vote wait ${id} --as ${name}`)}`)
    const { decision, reason } = await Promise.race([outcome, lost])
    await within(TOLD_MS, [allTold, lost])
    const found = await ownRecord(session, VOTES, id, name)
    output.data(found)
    output.print(...showVote(found))
    if (decision === null)
      throw new Failure('NO_OUTCOME', `No decision: ${reason}.`, { next: command(`vote show ${id} --as ${name}`) })
  } finally {
    await votes.close()
  }
}

interface CastOptions extends AsOption {
  readonly abstain?: boolean
  readonly timeout: number
}

const cast = (cli: Cli): Command =>
  new Command('cast')
    .summary('vote in the name of an agent of this machine')
    .description(
      'Answers a call that this agent got, whether it waits in the inbox or was read by `sealmesh inbox`, and waits until the caller has recorded it. The first vote counts. Exit code 10: it does not count, or the caller has not answered yet.',
    )
    .argument('<id>', 'the id of the vote: `vote` in the payload of the call')
    .argument('[option]', 'one of its options')
    .option('--abstain', 'vote for none of them')
    .option('--as <agent>', 'the agent that votes (the only one with a token here)')
    .addOption(timeoutOption('--timeout <time>', "how long to wait for the caller's receipt", 5_000))
    .addHelpText('after', example('sealmesh vote cast 8d1f7c52 yes --as ada'))
    .action(
      withDoor(cli, async (session, id: string, option: string | undefined, options: CastOptions) => {
        const { output, command } = session
        if ((option === undefined) !== (options.abstain === true))
          throw new Failure('USAGE', 'Name one option, or --abstain.', { next: command('vote cast --help') })
        const receipt = await asAgentOf(session, { as: options.as, keeps: false }, async (agent) => {
          const { message, call: asked } = await callOf(session, agent, 'vote-call', id, VoteCall)
          if (option !== undefined && !asked.options.includes(option))
            throw new Failure('USAGE', `It is none of the options: ${asked.options.join(', ')}.`)
          const voter = new Voter(systemDeps(agent.port), { decide: async () => option ?? null })
          const answered = new Promise<VoteReceipt>((resolve) =>
            agent.port.onDelivery((delivery) => {
              const read =
                delivery.message.type === VOTE_RECEIPT ? VoteReceipt.safeParse(delivery.message.payload) : undefined
              if (read?.success === true) resolve(read.data)
            }),
          )
          await agent.deliver(message)
          voter.close()
          return within(options.timeout, [answered, agent.hear({ to: id })])
        })
        if (receipt === undefined)
          throw new Failure('WAIT_TIMEOUT', 'The vote is sent; the caller has not answered yet.', {
            next: 'nothing: it is kept for the caller, and counts if that comes back before the deadline',
          })
        output.data(receipt)
        const choice = receipt.choice ?? 'abstention'
        output.print(`${receipt.counts ? 'counts' : 'does not count'}: ${choice} (${receipt.why})`)
        if (!receipt.counts || receipt.choice !== (option ?? null))
          throw new Failure('NO_OUTCOME', `The vote does not count: ${receipt.why}.`)
      }),
    )

const list = (cli: Cli): Command =>
  new Command('ls')
    .summary('votes that run')
    .description(
      'Lists votes that agents have called and that this machine may read: those that run, with --all ended ones too.',
    )
    .option('--as <agent>', 'only those that this agent has called')
    .option('--all', 'also those that have ended')
    .addHelpText('after', example('sealmesh vote ls --all'))
    .action(
      withDoor(cli, async (session, options: AsOption & { readonly all?: boolean }) => {
        const { output } = session
        const found = (await ownRecords(session, VOTES, options.as))
          .filter(({ record }) => options.all === true || record.outcome === null)
          .sort((a, b) => a.record.openedAtMs - b.record.openedAtMs)
        output.data({ votes: found })
        if (found.length === 0) return output.hint(options.all === true ? 'none' : 'none runs; --all shows the others')
        output.table(VOTE_COLUMNS, found.map(voteRow))
      }),
    )

const show = (cli: Cli): Command =>
  new Command('show')
    .summary('one vote: who voted what, and what was decided')
    .description('Shows one vote as the agent that called it keeps it.')
    .argument('<id>', 'as vote ls shows it')
    .option('--as <agent>', 'the agent that called it, where several have one of that id')
    .addHelpText('after', example('sealmesh vote show 8d1f7c52'))
    .action(
      withDoor(cli, async (session, id: string, options: AsOption) => {
        const found = await ownRecord(session, VOTES, id, options.as)
        session.output.data(found)
        session.output.print(...showVote(found))
      }),
    )

function listOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
}
