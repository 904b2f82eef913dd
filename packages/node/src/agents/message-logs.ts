import { join } from 'node:path'
import { makePrivateDirectory } from '../keys/durable-file.ts'
import { iso } from '../service/context.ts'
import { BoundedLog } from './bounded-log.ts'
import type { Letter } from './core/letter.ts'
import type { Sent } from './seat.ts'

/** Of each log, and as much again of the one before it. */
const LOG_BYTES_MAX = 8 * 1_048_576
/** More than a person reads; at this rate of all three a day of it never fits anyway. */
const LINES_PER_SECOND = 1_000
const CHARACTERS_PER_SECOND = 1_048_576

export type LogLevel = 'off' | 'on' | 'bodies'

export interface MessageLogsDeps {
  /** HOME/logs. */
  readonly folder: string
  readonly level: () => LogLevel
  readonly now: () => number
  readonly failed: (error: unknown) => void
}

interface Took {
  readonly handedMs: number
  readonly doneMs: number
}

/** What was not sent, of whom, as far as that is known. Names and types, which are checked, and nothing else. */
export interface Fault {
  readonly code: string
  readonly from: string
  readonly to?: string
  readonly type?: string
  readonly id?: string
}

/**
 * `mesh_communication.log`, `mesh_latency.log` and `mesh_errors.log` of this machine: docs/spec/16-agents.md §4.1. What
 * messages say is left out unless the config asks for it.
 */
export class MessageLogs {
  readonly #deps: MessageLogsDeps
  readonly #communication: BoundedLog
  readonly #latency: BoundedLog
  readonly #errors: BoundedLog

  private constructor(deps: MessageLogsDeps) {
    this.#deps = deps
    const log = (name: string): BoundedLog =>
      new BoundedLog({
        path: join(deps.folder, name),
        bytesMax: LOG_BYTES_MAX,
        linesPerSecond: LINES_PER_SECOND,
        charactersPerSecond: CHARACTERS_PER_SECOND,
        failed: deps.failed,
      })
    this.#communication = log('mesh_communication.log')
    this.#latency = log('mesh_latency.log')
    this.#errors = log('mesh_errors.log')
  }

  static async open(deps: MessageLogsDeps): Promise<MessageLogs> {
    await makePrivateDirectory(deps.folder)
    return new MessageLogs(deps)
  }

  sent(letter: Letter, { delivered, waiting, refused }: Omit<Sent, 'id'>, nowMs: number): void {
    const level = this.#deps.level()
    if (level === 'off' || !this.#communication.hasRoom(nowMs)) return
    const { text } = letter
    const numbers = `"bytes":${payloadBytes(text)},"delivered":${delivered},"waiting":${waiting},"refused":${refused}}`
    const said = level === 'bodies' ? text.slice(0, -1) : headOf(text)
    this.#communication.write(`${said},${numbers}`)
  }

  /** `handedMs`, `doneMs`: from its inbox to the program, and until that had done with it. */
  done({ id, from }: Letter, to: string, { handedMs, doneMs }: Took, nowMs: number): void {
    if (this.#deps.level() === 'off' || !this.#latency.hasRoom(nowMs)) return
    const times = `"handedMs":${handedMs.toFixed(3)},"doneMs":${doneMs.toFixed(3)}}`
    this.#latency.write(`{"at":"${iso(nowMs)}","id":"${id}","from":"${from}","to":"${to}",${times}`)
  }

  fault(fault: Fault): void {
    const { now, level } = this.#deps
    const nowMs = now()
    if (level() === 'off' || !this.#errors.hasRoom(nowMs)) return
    this.#errors.write(JSON.stringify({ at: iso(nowMs), ...fault }))
  }

  async close(): Promise<void> {
    await Promise.all([this.#communication, this.#latency, this.#errors].map((log) => log.close()))
  }
}

const PAYLOAD = ',"payload":'
/** No field before the payload can hold this: their schemas allow no quotation mark. */
const headOf = (text: string): string => text.slice(0, text.indexOf(PAYLOAD))
const payloadBytes = (text: string): number => Buffer.byteLength(text.slice(text.indexOf(PAYLOAD) + PAYLOAD.length, -1))
