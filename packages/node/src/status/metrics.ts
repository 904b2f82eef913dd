import type { Status } from '@sealmesh/protocol/ipc/methods'

/** Agents and peers that have series of their own: whoever stores these pays for each. */
export const SERIES_MAX = 256

type Labels = Readonly<Record<string, string>>
interface Sample {
  readonly labels: Labels
  readonly value: number
}

/**
 * What `status` knows, as Prometheus reads it (docs/metrics.md). Labels are names that the mesh's own log gives to
 * agents and nodes, and words of this file: nothing that a document says, no key, no path.
 */
export function metricsOf(status: Status): string {
  const { peers, relays, warnings } = status
  const agents = withLabel(status.agents, 'agent', ({ agent }) => agent)
  const others = withLabel(
    peers.filter(({ state }) => state !== 'removed'),
    'peer',
    ({ node }) => node,
  )
  const drills = status.drills.slice(0, SERIES_MAX).map((each) => ({ ...each, labels: { agent: each.agent } }))
  const has = (code: string): number => bit(warnings.some((warning) => warning.code === code))
  const left = Math.max(0, status.agents.length - SERIES_MAX) + Math.max(0, peers.length - SERIES_MAX)
  const reports = drills.flatMap(({ labels, last }) => (last === null ? [] : [{ labels, last }]))
  return [
    family('sealmesh_info', 'The version of the node that answered.', [
      { labels: { version: status.version, node: status.node.name }, value: 1 },
    ]),
    family('sealmesh_started_timestamp_seconds', 'When the node was started.', [one(seconds(status.startedAt))]),
    family('sealmesh_series_left_out', 'Agents and peers beyond those that have series of their own.', [one(left)]),
    family('sealmesh_relay_live', 'Whether a relay is connected.', [
      one(bit(relays.some(({ state }) => state === 'live'))),
    ]),
    family('sealmesh_direct_links', 'Machines that a direct link leads to.', [one(status.direct.links.length)]),
    family('sealmesh_home_rolled_back', 'Whether this home held more once, and is learning it again.', [
      one(has('HOME_ROLLED_BACK')),
    ]),
    family('sealmesh_warnings', 'Warnings that `sealmesh status` shows.', [one(warnings.length)]),
    family(
      'sealmesh_agent_holder',
      'Which node holds the agent, as far as this one knows.',
      agents.flatMap(({ labels, holder }) => (holder === null ? [] : [{ labels: { ...labels, holder }, value: 1 }])),
    ),
    family(
      'sealmesh_agent_held_here',
      'Whether this node holds the agent.',
      agents.map(({ labels, holdsHere }) => ({ labels, value: bit(holdsHere) })),
    ),
    family(
      'sealmesh_agent_term',
      'The term of the agent.',
      agents.map(({ labels, term }) => ({ labels, value: term })),
    ),
    family(
      'sealmesh_agent_late_blocks',
      'Blocks that came after their term was over, and that nobody has merged.',
      agents.map(({ labels, layers }) => ({ labels, value: layers.reduce((sum, { late }) => sum + late, 0) })),
    ),
    family(
      'sealmesh_peer_in_sync',
      'Whether the peer has receipted all that is here, and this node all that it named.',
      others.map(({ labels, state }) => ({ labels, value: bit(state === 'in sync') })),
    ),
    family(
      'sealmesh_peer_blocks_to_send',
      'Blocks that the peer has not receipted.',
      others.map(({ labels, toSend }) => ({ labels, value: toSend })),
    ),
    family(
      'sealmesh_peer_lag_seconds',
      'The age of the oldest block that the peer has not receipted; 0 for none.',
      others.map(({ labels, lagSeconds }) => ({ labels, value: lagSeconds ?? 0 })),
    ),
    family(
      'sealmesh_peer_last_heard_timestamp_seconds',
      'When the peer was last heard.',
      others.flatMap(({ labels, lastHeardAt }) =>
        lastHeardAt === null ? [] : [{ labels, value: seconds(lastHeardAt) }],
      ),
    ),
    family(
      'sealmesh_drill_last_run_timestamp_seconds',
      'When the last drill with a report ended.',
      reports.map(({ labels, last }) => ({ labels: { ...labels, kind: last.kind }, value: seconds(last.at) })),
    ),
    family(
      'sealmesh_drill_last_passed',
      'Whether that report is green.',
      reports.map(({ labels, last }) => ({ labels: { ...labels, kind: last.kind }, value: bit(last.passed) })),
    ),
    family(
      'sealmesh_drill_no_report',
      'Whether the last try came to no report.',
      drills.map(({ labels, failure }) => ({ labels, value: bit(failure !== null) })),
    ),
    family(
      'sealmesh_drill_overdue',
      'Whether a drill that is planned here has not happened.',
      drills.map(({ labels, overdue }) => ({ labels, value: bit(overdue) })),
    ),
    family(
      'sealmesh_drill_due_timestamp_seconds',
      'When the next drill is due here.',
      drills.flatMap(({ labels, dueAt }) => (dueAt === null ? [] : [{ labels, value: seconds(dueAt) }])),
    ),
    family(
      'sealmesh_drill_rto_seconds',
      'Of the last report, how long each phase took that was rehearsed.',
      reports.flatMap(({ labels, last }) =>
        Object.entries(last.rto).flatMap(([phase, ms]) =>
          ms === null ? [] : [{ labels: { ...labels, phase: wordOf(phase) }, value: ms / 1_000 }],
        ),
      ),
    ),
    family(
      'sealmesh_drill_missing_blocks',
      'Of the last report, acknowledged blocks that were missing.',
      reports.map(({ labels, last }) => ({ labels, value: last.missing })),
    ),
  ].join('')
}

/** Names may be given twice, a set of labels may not. */
function withLabel<Row extends { readonly name: string }>(
  rows: readonly Row[],
  label: string,
  idOf: (row: Row) => string,
): (Row & { readonly labels: Labels })[] {
  const shown = rows.slice(0, SERIES_MAX)
  const isTwice = (name: string): boolean => shown.filter((row) => row.name === name).length > 1
  return shown.map((row) => ({ ...row, labels: { [label]: isTwice(row.name) ? idOf(row) : row.name } }))
}

function family(name: string, help: string, samples: readonly Sample[]): string {
  if (samples.length === 0) return ''
  const lines = samples.map(({ labels, value }) => `${name}${labelsOf(labels)} ${value}`)
  return [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, ...lines, ''].join('\n')
}

function labelsOf(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

/** `catchUpMs` as `catch_up`. */
const wordOf = (phase: string): string =>
  phase.replace(/Ms$/, '').replace(/[A-Z]/g, (upper) => `_${upper.toLowerCase()}`)

const one = (value: number): Sample => ({ labels: {}, value })
const bit = (is: boolean): number => (is ? 1 : 0)
const seconds = (iso: string): number => Date.parse(iso) / 1_000
