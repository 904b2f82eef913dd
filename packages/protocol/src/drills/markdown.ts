import { type Check, missingOf, totalOf, unacknowledgedOf } from './checks.ts'
import type { Phases } from './facts.ts'
import type { FiledReport, Report } from './report.ts'
import { whereNow } from './where-now.ts'

/** The same report for people. `iso` names a moment: only drivers know calendars. */
export function markdownOf({ report, signatures }: FiledReport, hash: string, iso: (ms: number) => string): string {
  const { facts, agent, holder, standby } = report
  const { point } = facts
  const lines = [
    `# Drill ${report.number} of ${agent.name}: ${report.passed ? 'passed' : 'FAILED'}`,
    '',
    `A ${report.kind} drill on ${iso(facts.clock.askedAtMs)}. ${standby.name} stood by, ${holder.name} held term ${point.term.number}.`,
    '',
    table(['check', 'target', 'actual', ''], report.checks.map(rowOf)),
    '',
    '## Recovery time',
    '',
    table([...PHASES.map(([name]) => name), 'together'], [[...phasesOf(facts.rto), `${totalOf(facts)} ms`]]),
    '',
    ...(facts.moved === null ? [] : movedLines(report)),
    '## Recovery point',
    '',
    `${iso(point.atMs)} by ${holder.name}'s clock. Acknowledged and missing: ${missingOf(facts)}. Not acknowledged at that moment: ${unacknowledgedOf(facts)}.`,
    '',
    ...(point.unacknowledged.length === 0
      ? []
      : [
          table(
            ['layer', 'run', 'blocks'],
            point.unacknowledged.map(({ layer, incarnation, from, to }) => [layer, incarnation, `${from} to ${to}`]),
          ),
          '',
        ]),
    '## Layers',
    '',
    table(
      ['layer', 'blocks', 'missing', 'bad signatures', "holder's digest", 'rebuilt digest'],
      point.layers.map(({ layer, blocks, digest }) => {
        const mine = facts.layers.find((each) => each.layer === layer)
        const [missing, bad] = [mine?.missing ?? blocks, mine?.badSignatures ?? 0]
        return [
          layer,
          String(blocks),
          String(missing),
          String(bad),
          digest.slice(0, 16),
          mine?.digest?.slice(0, 16) ?? '-',
        ]
      }),
    ),
    '',
    `Not granted, and absent: ${absentOf(report)}.`,
    '',
    '## For the file',
    '',
    `- report ${hash}`,
    `- follows ${point.previous === null ? 'none: it is the first' : `report ${point.previous.number}, ${point.previous.hash}`}`,
    `- mesh ${report.mesh}, agent ${agent.id}`,
    `- term ${point.term.number}, ${point.term.record}`,
    ...signatures.map(({ node }) => `- signed by ${node === holder.id ? holder.name : standby.name}, ${node}`),
    `- next due: ${report.nextDueMs === null ? 'not scheduled' : iso(report.nextDueMs)}`,
    '',
  ]
  return lines.join('\n')
}

const rowOf = ({ name, ok, target, actual }: Check): string[] => [name, target, actual, ok ? 'ok' : '**failed**']

const PHASES = [
  ['freeze', 'freezeMs'],
  ['drain', 'drainMs'],
  ['detect', 'detectMs'],
  ['decide', 'decideMs'],
  ['acquire', 'acquireMs'],
  ['catch up', 'catchUpMs'],
  ['activate', 'activateMs'],
  ['first act', 'firstActMs'],
] as const

const phasesOf = (phases: Phases): string[] =>
  PHASES.map(([, key]) => (phases[key] === null ? 'not rehearsed' : `${phases[key]} ms`))

function movedLines(report: Report): string[] {
  const { moved, holderAfter } = report.facts
  const { said, next } = whereNow(report)
  return [
    ...(moved?.back === undefined || moved.back === null
      ? []
      : [
          'And back:',
          '',
          table(
            [...PHASES.map(([name]) => name), 'together'],
            [[...phasesOf(moved.back.phases), `${totalOf({ rto: moved.back.phases })} ms`]],
          ),
          '',
        ]),
    '## Where it is now',
    '',
    `${said}${next === null ? '' : ` **Next: ${next}**`}`,
    '',
    ...(holderAfter === null
      ? ['The holder was not heard again: it has signed the recovery point, and nothing after it.', '']
      : []),
    ...(holderAfter === null || holderAfter.late === 0
      ? []
      : [
          `${holderAfter.late} blocks were written at ${report.holder.name} alone, and acknowledged by nobody else: \`sealmesh late ls ${report.agent.name}\`.`,
          '',
        ]),
  ]
}

function absentOf({ facts: { point } }: Report): string {
  const { named, others } = point.notGranted
  const parts = [...named, ...(others === 0 ? [] : [`${others} that no grant names`])]
  return parts.length === 0 ? 'none' : parts.join(', ')
}

/** Names come from people: a bar would end a cell. */
const cell = (text: string): string => text.replaceAll('|', '\\|')

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
