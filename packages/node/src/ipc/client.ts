import { RpcClient } from '@sealmesh/agent/wire/rpc-client'
import type {
  MethodInput,
  MethodName,
  MethodResult,
  Notification,
  NotificationName,
  WatchEvent,
} from '@sealmesh/protocol/ipc/methods'
import { DOOR_VERSION } from '@sealmesh/protocol/version'

export interface DoorClient {
  /** Throws the `Failure` that the node answered with; NODE_NOT_RUNNING when the connection ends first. */
  call<M extends MethodName>(method: M, params: MethodInput<M>): Promise<MethodResult<M>>
  /** Events of `watch`; gives back what ends the listening. */
  onNotification(listener: (event: WatchEvent) => void): () => void
  /** Everything else that the node says unasked. */
  on<N extends NotificationName>(name: N, listener: (said: Notification<N>) => void): () => void
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>
  close(): Promise<void>
}

/** Connects and greets; needs neither zod nor the schemas at run time, so that short commands start fast. */
export async function connectDoor(socketPath: string, options: { helloWaitMs?: number } = {}): Promise<DoorClient> {
  const { client } = await RpcClient.open(socketPath, { version: DOOR_VERSION }, options.helloWaitMs)
  return {
    call: <M extends MethodName>(method: M, params: MethodInput<M>) =>
      client.call(method, params) as Promise<MethodResult<M>>,
    onNotification: (listener) => client.on('watch.event', (event) => listener(event as WatchEvent)),
    on: <N extends NotificationName>(name: N, listener: (said: Notification<N>) => void) =>
      client.on(name, (said) => listener(said as Notification<N>)),
    closed: client.closed,
    close: () => client.close(),
  }
}
