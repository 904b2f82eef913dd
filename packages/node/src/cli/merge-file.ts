import { Failure } from '@sealmesh/protocol/errors'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { plain } from './get.ts'
import { oneLine } from './printable.ts'
import { moment } from './when.ts'

type Sibling = MethodResult<'conflicts.show'>['siblings'][number]

/** What begins a line of ours in the file that a person edits. */
export const MARKERS = ['<<<<<<< ', '======= ', '>>>>>>>'] as const

/** All values of a register in one file, as version control shows a conflict: people know what to do with it. */
export function mergeFile(siblings: readonly Sibling[]): string {
  const parts = siblings.map(({ value, origin }, at) => {
    const who = `${oneLine(origin.writer)} on ${oneLine(origin.nodeName)}, ${moment(origin.at)}`
    return `${MARKERS[at === 0 ? 0 : 1]}${who}${value === null ? ' (deleted)' : `\n${plain(value)}`}\n`
  })
  return `${parts.join('')}${MARKERS[2]} leave the value that you want, without these lines\n`
}

/** Whether the values are JSON that is no text: then a merge is JSON too, or a number would turn into a word. */
export function speaksJson(siblings: readonly Pick<Sibling, 'value'>[]): boolean {
  const values = siblings.flatMap(({ value }) => (value === null ? [] : [value]))
  return values.length > 0 && values.every((value) => !value.trimStart().startsWith('"'))
}

/** As it was written: parsing and printing it again would change large numbers. */
export function mergedJson(text: string, asJson: boolean): string {
  if (!asJson) return JSON.stringify(text)
  try {
    JSON.parse(text)
    return text.trim()
  } catch {
    throw new Failure('VALUE_INVALID', 'The values here are JSON, and this is not.', {
      next: 'give JSON; a text goes in double quotes, within the quotes of your shell',
    })
  }
}
