import type { Frame } from '@sealmesh/agent/wire/frames'
import type { FailureCode } from '@sealmesh/protocol/errors'
import type { methods, Notification, NotificationName, WatchEvent } from '@sealmesh/protocol/ipc/methods'
import type { z } from 'zod'
import { RPC_CODES, type RpcError, type RpcId, rpcError } from './rpc.ts'

/** What may be asked at a door, by name. */
export type MethodTable = Readonly<Record<string, { readonly params: z.ZodType; readonly result: z.ZodType }>>

/** One client of a door: the same object for every call of its connection. */
export interface DoorContext {
  /** Sends a `watch.event` to the client that called. Too many unread ones cut the client. */
  notify(event: WatchEvent): void
  /** For everything else that is told unasked; absent for callers that only want answers. */
  readonly stream?: DoorStream
  /** Aborted when the client is gone or the door closes. */
  readonly signal: AbortSignal
}

export interface DoorStream {
  /** Of a door that speaks `compact`. */
  readonly compact?: CompactStream
  /** Too many unread ones cut the client: ask `hasRoom` first where there may be many. */
  tell<N extends NotificationName>(name: N, params: Notification<N>): void
  /** The same of another door's notifications, with parameters that are JSON text already: many may get one text. */
  tellText(name: string, params: string): void
  /** Whether whoever calls has proven who it is: those that have not make room for others. */
  known?(isKnown: boolean): void
  /** Takes no more calls, and ends in a later turn. */
  end?(): void
  hasRoom(): boolean
  /** In a later turn, once there is room or the client is gone. */
  room(): Promise<void>
}

export interface CompactStream {
  /** From the answer on that this call gets, both sides speak frames. */
  begin(): void
  isOn(): boolean
  /** As `tellText`. `frame`: a byte string. */
  tell(frame: string): void
}

/** What stands behind a door. A handler that has its answer at hand returns it without a promise. */
export type HandlersOf<Table extends MethodTable> = {
  readonly [M in keyof Table]: (
    params: z.infer<Table[M]['params']>,
    context: DoorContext,
  ) => Promise<z.infer<Table[M]['result']>> | z.infer<Table[M]['result']>
}
/** Behind the owner's. */
export type Handlers = HandlersOf<typeof methods>

export type Call = (params: unknown, context: DoorContext) => unknown
export type Parsed =
  | {
      readonly type: 'call'
      readonly id: RpcId | undefined
      readonly params: unknown
      readonly call: Call
      /** What goes well is answered by this frame. */
      readonly frame?: (result: unknown) => string
    }
  | { readonly type: 'refuse'; readonly id: RpcId; readonly error: RpcError }

/** Turns one line into a checked call or into the error that answers it. Never throws. */
export type ReadRequest = (line: string) => Parsed
/** The same for a frame that is not JSON-RPC, of a door that speaks `compact`. Never throws. */
export type ReadFrame = (frame: Frame) => Parsed

export function requestReader<Table extends MethodTable>(methods: Table, handlers: HandlersOf<Table>): ReadRequest {
  // The type of the handlers pairs each with its schema; a map cannot say so.
  const table = new Map(
    Object.entries(methods).map(([name, { params }]) => [name, { schema: params, call: handlers[name] as Call }]),
  )

  return (line) => {
    let message: unknown
    try {
      message = JSON.parse(line)
    } catch {
      return refuse(null, RPC_CODES.PARSE, 'USAGE', 'The line is not JSON.')
    }
    if (typeof message !== 'object' || message === null || Array.isArray(message))
      return refuse(null, RPC_CODES.REQUEST, 'USAGE', 'A request is one JSON object on one line.')
    const { jsonrpc, id, method, params = {} } = message as Record<string, unknown>
    if (!isId(id)) return refuse(null, RPC_CODES.REQUEST, 'USAGE', 'The id is neither text nor a number.')
    if (jsonrpc !== '2.0' || typeof method !== 'string')
      return refuse(id ?? null, RPC_CODES.REQUEST, 'USAGE', 'A request has "jsonrpc":"2.0" and a method.')
    const entry = table.get(method)
    if (entry === undefined) return refuse(id ?? null, RPC_CODES.METHOD, 'USAGE', 'There is no such method.')
    const checked = entry.schema.safeParse(params)
    if (checked.success) return { type: 'call', id, params: checked.data, call: entry.call }
    return refuseParams(id ?? null, checked.error)
  }
}

export function refuseParams(id: RpcId, { issues: [issue] }: z.ZodError): Parsed {
  const path = issue?.path.join('.') ?? ''
  // Zod's words name types and limits, never values.
  return refuse(id, RPC_CODES.PARAMS, codeOf(issue?.path), `${path || 'params'}: ${issue?.message ?? 'Invalid input'}.`)
}

export function refuse(id: RpcId, code: number, failure: FailureCode, message: string): Parsed {
  return { type: 'refuse', id, error: rpcError(code, failure, message) }
}

const isId = (id: unknown): id is RpcId | undefined =>
  id === undefined || id === null || typeof id === 'string' || (typeof id === 'number' && Number.isFinite(id))

/** The code that the handler itself would give for a word of that kind. */
function codeOf(path: readonly PropertyKey[] | undefined): FailureCode {
  switch (path?.at(-1)) {
    case 'umr':
      return 'UMR_INVALID'
    case 'agent':
    case 'layer':
    case 'name':
      return 'NAME_INVALID'
    case 'value':
    case 'text':
      return 'VALUE_INVALID'
    default:
      return 'USAGE'
  }
}
