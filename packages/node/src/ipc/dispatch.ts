import type { FailureCode } from '@sealmesh/protocol/errors'
import {
  type MethodName,
  type MethodParams,
  type MethodResult,
  methods,
  type Notification,
  type NotificationName,
  type WatchEvent,
} from '@sealmesh/protocol/ipc/methods'
import type { z } from 'zod'
import { RPC_CODES, type RpcError, type RpcId, rpcError } from './rpc.ts'

export interface DoorContext {
  /** Sends a `watch.event` to the client that called. Too many unread ones cut the client. */
  notify(event: WatchEvent): void
  /** For everything else that is told unasked; absent for callers that only want answers. */
  readonly stream?: DoorStream
  /** Aborted when the client is gone or the door closes. */
  readonly signal: AbortSignal
}

export interface DoorStream {
  /** Too many unread ones cut the client: ask `hasRoom` first where there may be many. */
  tell<N extends NotificationName>(name: N, params: Notification<N>): void
  hasRoom(): boolean
  /** In a later turn, once there is room or the client is gone. */
  room(): Promise<void>
}

/** What stands behind the door. A handler that has its answer at hand returns it without a promise. */
export type Handlers = {
  readonly [M in MethodName]: (
    params: MethodParams<M>,
    context: DoorContext,
  ) => Promise<MethodResult<M>> | MethodResult<M>
}

export type Call = (params: unknown, context: DoorContext) => unknown
export type Parsed =
  | { readonly type: 'call'; readonly id: RpcId | undefined; readonly params: unknown; readonly call: Call }
  | { readonly type: 'refuse'; readonly id: RpcId; readonly error: RpcError }

/** Turns one line into a checked call or into the error that answers it. Never throws. */
export type ReadRequest = (line: string) => Parsed

export function requestReader(handlers: Handlers): ReadRequest {
  const table = new Map<string, { schema: z.ZodType; call: Call }>()
  // The type of `Handlers` pairs each handler with its schema; a map cannot say so.
  for (const name of Object.keys(methods) as MethodName[])
    table.set(name, { schema: methods[name].params, call: handlers[name] as Call })

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
    const issue = checked.error.issues[0]
    const path = issue?.path.join('.') ?? ''
    // Zod's words name types and limits, never values.
    return refuse(
      id ?? null,
      RPC_CODES.PARAMS,
      codeOf(issue?.path),
      `${path || 'params'}: ${issue?.message ?? 'Invalid input'}.`,
    )
  }
}

function refuse(id: RpcId, code: number, failure: FailureCode, message: string): Parsed {
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
