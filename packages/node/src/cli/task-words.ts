import type { TaskRecord } from '@sealmesh/protocol/messages/task'
import type { Found } from './own-records.ts'
import { oneLine } from './printable.ts'
import type { Column } from './table.ts'
import { second } from './when.ts'

/** A task for people. Titles, payloads and results are words of agents: made harmless, and cut. */

const SHOWN_MAX = 400

export const TASK_COLUMNS: readonly Column[] = [
  { title: 'ID' },
  { title: 'ASKED BY' },
  { title: 'STATE' },
  { title: 'WHO' },
  { title: 'TRY', align: 'right' },
  { title: 'OPENED' },
  { title: 'TITLE' },
]

export const taskRow = ({ agent, record }: Found<TaskRecord>): readonly string[] => [
  record.id,
  agent,
  record.state,
  record.doneBy ?? record.assignee ?? '-',
  String(record.attempt),
  at(record.openedAtMs),
  oneLine(record.title, 60),
]

export function showTask({ agent, record }: Found<TaskRecord>): string[] {
  const { id, title, state, capability, assignee, attempt, deadlineAtMs, result, doneBy, history } = record
  const who = doneBy === null ? (assignee === null ? '' : `, ${assignee}`) : `, by ${doneBy}`
  return [
    `${id}  ${oneLine(title, SHOWN_MAX)}`,
    `  ${state}${who}, attempt ${attempt}; asked by ${agent}, for ${capability}`,
    ...(deadlineAtMs === null ? [] : [`  until ${at(deadlineAtMs)}`]),
    ...(record.payload === null ? [] : [`  payload ${json(record.payload)}`]),
    ...(result === null
      ? []
      : [result.ok ? `  result ${json(result.value)}` : `  because ${oneLine(result.reason, SHOWN_MAX)}`]),
    ...history.map(
      (each) => `  ${new Date(each.atMs).toISOString()} ${each.event}${each.agent === null ? '' : ` ${each.agent}`}`,
    ),
  ]
}

export const at = (ms: number): string => second(new Date(ms).toISOString())

const json = (value: unknown): string => oneLine(JSON.stringify(value), SHOWN_MAX)
