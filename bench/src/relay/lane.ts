import type { Socket } from 'node:net'
import { type ClientOptions, WebSocket } from 'ws'

/** One connection of the load, the same to its user whichever server it leads to. */
export interface Lane {
  /** Leaves with whatever else this turn sends. `stamp` comes out at the other end. */
  send(to: number, stamp: number): void
  close(): void
  /** A reader that stops. */
  pause(): void
}

export interface LaneOptions {
  readonly url: string
  /** This one's number: others send to it. */
  readonly number: number
  /** Of each message. */
  readonly bytes: number
  /** 127.0.0.x, where one address has too few ports, or may not have so many strangers. */
  readonly from?: string
  readonly onMessage: (stamp: number) => void
  /** Ours and JetStream: what became of a message, in the order in which they were sent. */
  readonly onAnswer?: (outcome: string) => void
  readonly onClosed?: () => void
}

const sockets = new WeakMap<WebSocket, Socket>()

/** What a turn sends leaves in one write, as a node's does: otherwise the server would pay for each in reads. */
export function sendTogether(ws: WebSocket, messages: readonly Uint8Array[]): void {
  if (ws.readyState !== ws.OPEN) return
  const socket = sockets.get(ws)
  socket?.cork()
  for (const message of messages) ws.send(message)
  socket?.uncork()
}

/** `hear` gets every message: a server may speak first, before anybody who awaits this runs. */
export function dialLane(
  { url, from, onClosed }: LaneOptions,
  hear: (bytes: Buffer, ws: WebSocket) => void,
): Promise<WebSocket> {
  const local: ClientOptions = from === undefined ? {} : { localAddress: from }
  // Whom one talks to is no question on loopback, and the certificate is self-signed.
  const ws = new WebSocket(url, { perMessageDeflate: false, rejectUnauthorized: false, ...local })
  ws.on('message', (bytes: Buffer) => hear(bytes, ws))
  ws.on('upgrade', ({ socket }) => sockets.set(ws, socket))
  return new Promise((resolve, reject) => {
    ws.once('open', () => resolve(ws))
    ws.once('error', reject)
    ws.on('error', () => undefined)
    ws.on('close', () => {
      reject(new Error('the server hung up'))
      onClosed?.()
    })
  })
}

/** Where a stamp lies: the last bytes of a message, whatever stands before them. */
const STAMP_BYTES = 8

export const writeStamp = (message: Buffer, stamp: number): number =>
  message.writeDoubleBE(stamp, message.length - STAMP_BYTES)

export const readStamp = (message: Uint8Array): number =>
  new DataView(message.buffer, message.byteOffset, message.byteLength).getFloat64(message.length - STAMP_BYTES)

/** Milliseconds of a clock that all processes of this machine share. */
export const stampNow = (): number => Number(process.hrtime.bigint()) / 1e6
