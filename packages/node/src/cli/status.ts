import { Failure, type FailureCode, reactions } from '@sealmesh/protocol/errors'
import type { Status } from '@sealmesh/protocol/ipc/methods'
import { Command } from 'commander'
import { example } from './example.ts'
import { directLines } from './direct-words.ts'
import type { Output } from './output.ts'
import { oneLine } from './printable.ts'
import { wayWords } from './relay-words.ts'
import { type Cli, type DoorSession, withDoor } from './session.ts'
import { ago, moment, span } from './when.ts'

export const status = (cli: Cli): Command =>
  new Command('status')
    .summary('show what is in step, what is not, and why')
    .description(
      'Shows this node, its relay, its peers and its agents, and what to do about each thing that is not well.',
    )
    .addHelpText('after', example('sealmesh status'))
    .action(
      withDoor(cli, async (session) => {
        const now = await session.door.call('status', {})
        session.output.data(now)
        if (!session.output.json) show(session, now)
        // Last, and with an exit code of its own: what answers for recovery looks at nothing else.
        const drill = now.warnings.find(({ code }) => code === 'DRILL_FAILED' || code === 'DRILL_OVERDUE')
        if (drill !== undefined) throw new Failure(drill.code as FailureCode, sentence(drill.message))
      }),
    )

function show(session: DoorSession, now: Status): void {
  const { output } = session
  const nowMs = Date.now()
  output.print(
    `node    ${output.styled('bold', oneLine(now.node.name))} (${shortId(now.node.id)}), up ${span(nowMs - Date.parse(now.startedAt))}, version ${oneLine(now.version)}`,
    `mesh    ${oneLine(now.mesh.name)} (${shortId(now.mesh.id)}), ${count(now.mesh.nodes, 'node')}`,
    `state   ${styledState(output, now.summary)}${explain(session, now)}`,
  )
  for (const relay of now.relays)
    output.print(`relay   ${oneLine(relay.address, 60)}  ${relayState(output, relay, nowMs)}`)
  if (now.relays.length === 0) output.print('relay   none')
  for (const line of directLines(output, now.direct, nowMs)) output.print(`direct  ${line}`)
  const snapshots = snapshotLine(now, nowMs)
  if (snapshots !== null) output.print(`saved   ${snapshots}`)
  showPeers(output, now, nowMs)
  showAgents(output, now)
  showDurability(output, now, nowMs)
  showDrills(output, now, nowMs)
  for (const warning of now.warnings) {
    output.print('', `${output.styled('yellow', `warning ${warning.code}:`)} ${oneLine(warning.message)}`)
    const next = nextOf(warning.code)
    if (next !== undefined) output.print(`  next: ${next}`)
  }
}

/** When an image of this home was last left somewhere; nothing while there is none and nothing failed. */
function snapshotLine({ snapshots: { vaultAt, fileAt, failed } }: Status, nowMs: number): string | null {
  const parts = [
    ...(vaultAt === null ? [] : [`at the relay ${ago(vaultAt, nowMs)}`]),
    ...(fileAt === null ? [] : [`in a file ${ago(fileAt, nowMs)}`]),
    ...(failed === null ? [] : [`not at the relay ${ago(failed.at, nowMs)} (${failed.code})`]),
  ]
  return parts.length === 0 ? null : parts.join(', ')
}

function showPeers(output: Output, now: Status, nowMs: number): void {
  if (now.peers.length === 0) return
  output.print('')
  output.table(
    [
      { title: 'PEER' },
      { title: 'STATE' },
      { title: 'TO SEND', align: 'right' },
      { title: 'LAG', align: 'right' },
      { title: 'TO RECEIVE', align: 'right' },
      { title: 'LAST HEARD' },
    ],
    now.peers.map((peer) => [
      peer.name,
      peer.refused === null ? peer.state : `${peer.state}, ${peer.refused}`,
      String(peer.toSend),
      peer.lagSeconds === null ? '-' : span(peer.lagSeconds * 1_000),
      peer.toReceive === null ? '?' : String(peer.toReceive),
      ago(peer.lastHeardAt, nowMs),
    ]),
  )
}

function showAgents(output: Output, now: Status): void {
  if (now.agents.length === 0) return
  output.print('')
  const number = { align: 'right' } as const
  output.table(
    [
      { title: 'AGENT' },
      { title: 'HELD BY' },
      { title: 'TERM', ...number },
      { title: 'LAYER' },
      { title: 'REGISTERS', ...number },
      { title: 'TEXTS', ...number },
      { title: 'CONFLICTS', ...number },
      { title: 'LATE', ...number },
      { title: 'HELD', ...number },
      { title: 'ASIDE', ...number },
    ],
    now.agents.flatMap((agent) => {
      const holder = agent.holdsHere ? 'this node' : (agent.holder ?? 'nobody')
      const head = [agent.name, holder, String(agent.term)]
      if (agent.layers.length === 0) return [[...head, '-']]
      return agent.layers.map((layer, index) => [
        ...(index === 0 ? head : ['', '', '']),
        layer.layer,
        ...[layer.registers, layer.texts, layer.conflicts, layer.late, layer.held, layer.setAside].map((count) =>
          layer.damaged ? '?' : String(count),
        ),
      ])
    }),
  )
}

/** Of agents whose copies somebody relies on. */
function showDurability(output: Output, { agents }: Status, nowMs: number): void {
  const kept = agents.filter(({ durability }) => durability.syncSet !== null || durability.policy === 'strict')
  if (kept.length === 0) return
  output.print('')
  output.table(
    [
      { title: 'AGENT' },
      { title: 'DURABILITY' },
      { title: 'REACHED' },
      { title: 'REPLICATED MEANS' },
      { title: 'LEFT' },
    ],
    kept.map(({ name, durability: { policy, level, copies, means, left } }) => [
      name,
      policy,
      level === null ? '-' : `${level}, ${copies === 1 ? '1 copy' : `${copies} copies`}`,
      means,
      left.map(({ node, at }) => `${node} (${ago(at, nowMs)})`).join(', ') || '-',
    ]),
  )
}

function showDrills(output: Output, { drills }: Status, nowMs: number): void {
  if (drills.length === 0) return
  output.print('')
  output.table(
    [{ title: 'DRILLS OF' }, { title: 'LAST' }, { title: '' }, { title: 'DUE' }],
    drills.map(({ agent, last, failure, dueAt, overdue }) => [
      agent,
      last === null ? 'never' : ago(last.at, nowMs),
      failure !== null ? `no report: ${failure.code}` : last === null ? '' : last.passed ? 'passed' : 'FAILED',
      dueAt === null ? '-' : overdue ? 'overdue' : moment(dueAt),
    ]),
  )
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, '')}.`

/** Why it is not in step, and what to do: the question that people bring to a status page. */
function explain({ command }: DoorSession, now: Status): string {
  switch (now.summary) {
    case 'in sync':
      return ''
    case 'alone':
      return `: no other machine yet. Next: ${command('pair')}`
    case 'cut off':
      return now.relays.length === 0
        ? `: no relay. Next: ${command('up --relay ADDRESS --claim CODE')}`
        : ': no relay answers. What is written meanwhile is kept, and sent when one does'
    case 'syncing': {
      const behind = now.peers.filter((peer) => peer.state !== 'in sync' && peer.state !== 'removed')
      return `: waiting for ${behind.map((peer) => `${oneLine(peer.name)} (${peer.state})`).join(', ')}`
    }
  }
}

function relayState(output: Output, relay: Status['relays'][number], nowMs: number): string {
  if (relay.state === 'live') {
    const since = relay.since === null ? '' : `, for ${span(nowMs - Date.parse(relay.since))}`
    const way = relay.proxy === null && relay.tls !== 'relay-key-only' ? '' : `, ${wayWords(relay)}`
    const unanswered = relay.unanswered === 0 ? '' : `, ${count(relay.unanswered, 'packet')} without an answer`
    return `${output.styled('green', 'live')}${since}${way}${unanswered}`
  }
  const reason = relay.reason === null ? '' : ` (${relay.reason})`
  const again = relay.nextTryAt === null ? '' : `, tries again in ${span(Date.parse(relay.nextTryAt) - nowMs)}`
  const next = relay.reason === null ? undefined : nextOf(relay.reason)
  return `${output.styled('yellow', relay.state)}${reason}${again}${next === undefined ? '' : `\n        next: ${next}`}`
}

const STATE_STYLES = { 'in sync': 'green', syncing: 'yellow', alone: 'dim', 'cut off': 'red' } as const

const styledState = (output: Output, state: Status['summary']): string => output.styled(STATE_STYLES[state], state)

/** The reaction to a code that the node named; a newer node may name one that we do not know. */
const nextOf = (code: string): string | undefined =>
  Object.hasOwn(reactions, code) ? reactions[code as FailureCode].next : undefined

/** `node_4f2a09c1`: enough to tell two apart by eye; --json has it whole. */
export const shortId = (id: string): string => oneLine(id).replace(/^([a-z]+_[0-9a-f]{8})[0-9a-f]+$/, '$1')

export const count = (number: number, thing: string): string => `${number} ${thing}${number === 1 ? '' : 's'}`
