import { isName } from '../ids.ts'
import { MESSAGE_PAYLOAD_BYTES_MAX } from './limits.ts'
import type { Priority } from './message.ts'

/**
 * Messages as text, for programs that have nothing but lines (docs/spec/16-agents.md §4):
 *
 *   [FROM:script|TO:bob|PRIORITY:1|TYPE:question|ID:x]
 *   any lines
 *   ===END_MESSAGE===
 */

export const TEXT_END = '===END_MESSAGE==='
/** Five fields with names of up to 64 characters and room for fields that are not known. */
const HEADER_CHARACTERS_MAX = 1_024
/** A body is the text of a payload, which JSON makes longer, never shorter. */
const BODY_CHARACTERS_MAX = MESSAGE_PAYLOAD_BYTES_MAX

export interface TextMessage {
  readonly from: string
  /** Undefined where the header names nobody: the owner of the pipe is meant. */
  readonly to: string | undefined
  readonly priority: Priority
  readonly type: string
  readonly id: string | undefined
  /** The id that this one answers: the correlation of a message. */
  readonly re?: string | undefined
  /** The body is JSON, and that value the payload; else the payload is the text. */
  readonly form?: 'json' | undefined
  readonly body: string
}

export type TextFault = 'header' | 'too-long'

/** Undefined when it is no header. Fields come in any order; what is not known is passed over. */
export function parseTextHeader(line: string): Omit<TextMessage, 'body'> | undefined {
  if (line.length > HEADER_CHARACTERS_MAX || !line.startsWith('[') || !line.endsWith(']')) return undefined
  const fields = new Map<string, string>()
  for (const field of line.slice(1, -1).split('|')) {
    const colon = field.indexOf(':')
    if (colon < 1) return undefined
    fields.set(field.slice(0, colon), field.slice(colon + 1))
  }
  const from = fields.get('FROM') ?? ''
  const to = fields.get('TO')
  const type = (fields.get('TYPE') ?? 'text').toLowerCase()
  const id = fields.get('ID')
  const re = fields.get('RE')
  const form = fields.get('FORM')?.toLowerCase()
  const priority = priorityOf(fields.get('PRIORITY'))
  if (!isName(from) || !isName(type) || priority === undefined) return undefined
  for (const each of [id, re]) if (each !== undefined && !/^[A-Za-z0-9_-]{1,64}$/.test(each)) return undefined
  if (form !== undefined && form !== 'json' && form !== 'text') return undefined
  if (to !== undefined && to !== '*' && !isName(to.startsWith('#') ? to.slice(1) : to)) return undefined
  return {
    from,
    to,
    priority,
    type,
    id,
    ...(re === undefined ? {} : { re }),
    ...(form === 'json' ? { form } : {}),
  }
}

const priorityOf = (text: string | undefined): Priority | undefined =>
  text === undefined ? 1 : /^[0-3]$/.test(text) ? (Number(text) as Priority) : undefined

/** Cuts lines into messages. What is no header where one should be ends it: nobody can say where the next would begin. */
export class TextReader {
  #header: Omit<TextMessage, 'body'> | undefined
  #body: string[] = []
  #characters = 0

  /** Undefined until a message is whole. `line` is without its newline. */
  push(line: string): TextMessage | TextFault | undefined {
    if (this.#header === undefined) {
      if (line === '' || line === '\r') return undefined
      this.#header = parseTextHeader(line.trimEnd())
      return this.#header === undefined ? 'header' : undefined
    }
    if (line.trimEnd() === TEXT_END) {
      const message = { ...this.#header, body: this.#body.join('\n') }
      this.#header = undefined
      this.#body = []
      this.#characters = 0
      return message
    }
    this.#characters += line.length + 1
    if (this.#characters > BODY_CHARACTERS_MAX) return 'too-long'
    this.#body.push(line)
    return undefined
  }
}

/**
 * A line as a shell may hear it: `read` takes blanks away around it and, without `-r`, backslashes; bash drops nulls. Else
 * whoever may write to a script could write messages of others to it.
 */
const heard = (line: string): string => line.replaceAll(/[\0\\]/g, '').trim()

/** A line of a body that could end it gets a `>` before it. */
export function textForm(message: TextMessage): string {
  const { from, to, priority, type, id, re, form, body } = message
  const fields = [`FROM:${from}`, `TO:${to ?? ''}`, `PRIORITY:${priority}`, `TYPE:${type}`]
  if (id !== undefined) fields.push(`ID:${id}`)
  if (re !== undefined) fields.push(`RE:${re}`)
  if (form !== undefined) fields.push(`FORM:${form}`)
  const lines = body.split('\n').map((line) => (heard(line) === TEXT_END ? `>${line}` : line))
  return `[${fields.join('|')}]\n${lines.join('\n')}\n${TEXT_END}\n`
}
