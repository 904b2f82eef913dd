import { type FailureCode, Failure, reactions } from '@sealmesh/protocol/errors'

/** JSON-RPC 2.0 as the door speaks it: docs/spec/06-local-socket.md. Frames hold the same texts, and a newline at the end. */
export type RpcId = string | number | null

/** JSON-RPC's own numbers; every other failure is `FAILED`, and its code says which. */
export const RPC_CODES = {
  PARSE: -32_700,
  REQUEST: -32_600,
  METHOD: -32_601,
  PARAMS: -32_602,
  INTERNAL: -32_603,
  FAILED: -32_000,
} as const

export interface RpcError {
  readonly code: number
  readonly message: string
  readonly data: { readonly code: FailureCode; readonly next: string }
}

export const resultLine = (id: RpcId, result: unknown): string =>
  `{"jsonrpc":"2.0","id":${idText(id)},"result":${JSON.stringify(result) ?? 'null'}}\n`

export const errorLine = (id: RpcId, error: RpcError): string =>
  `{"jsonrpc":"2.0","id":${idText(id)},"error":${JSON.stringify(error)}}\n`

/** `params`: JSON text. */
export const notificationLine = (method: string, params: string): string =>
  `{"jsonrpc":"2.0","method":"${method}","params":${params}}\n`

const idText = (id: RpcId): string => (typeof id === 'number' ? String(id) : JSON.stringify(id))

export function rpcError(code: number, failure: FailureCode, message: string, next?: string): RpcError {
  return { code, message, data: { code: failure, next: next ?? reactions[failure].next } }
}

/** What a handler threw. Anything but a `Failure` is a fault of ours, whose words may hold what nobody should read. */
export function errorOf(thrown: unknown): RpcError {
  if (thrown instanceof Failure) return rpcError(RPC_CODES.FAILED, thrown.code, thrown.message, thrown.next)
  return rpcError(RPC_CODES.INTERNAL, 'INTERNAL', 'Something broke inside the node; its log says where.')
}
