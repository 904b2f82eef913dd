import type { Duplex } from 'node:stream'
import { Receiver, type ReceiverSink } from './receiver.ts'
import { readShared } from './shared-reads.ts'

export type ReadsSink = Pick<ReceiverSink, 'allocate' | 'grow' | 'message'>

/**
 * Puts a `Receiver` between a socket and the ws that has just taken it on, before anything was read. Null, and all is as
 * it was, when nothing listens to the socket's bytes. `messageBytesMax`: ws's own limit.
 */
export function readAheadOfWs(socket: Duplex, messageBytesMax: number, sink: ReadsSink): Receiver | null {
  // ws listens first: it was there when the socket was handed to us.
  const [ofWs] = socket.listeners('data') as ((bytes: Uint8Array) => void)[]
  if (ofWs === undefined) return null
  let isShared = false
  let isOver = false
  // ws keeps what it is given.
  const own = (bytes: Uint8Array): Buffer =>
    isShared ? Buffer.from(bytes) : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const pass = (bytes: Uint8Array): void => ofWs.call(socket, own(bytes))
  const receiver = new Receiver(
    {
      allocate: (bytes) => sink.allocate(bytes),
      grow: (slab, bytes) => sink.grow(slab, bytes),
      message: (slab) => sink.message(slab),
      pass,
      handOver: (bytes) => {
        isOver = true
        socket.off('data', take)
        socket.off('close', takeRest)
        // So that ws can take it off.
        socket.on('data', ofWs)
        if (bytes.length > 0) pass(bytes)
      },
    },
    messageBytesMax,
  )
  const take = (bytes: Uint8Array): void => {
    // Whoever else listens may have ended it.
    if (!socket.destroyed) receiver.take(bytes)
  }
  // ws reads what a paused socket has left, and would take it for the beginning of a frame.
  const takeRest = (): void => {
    const rest = socket.read() as Uint8Array | null
    if (rest !== null) receiver.take(rest)
  }
  socket.off('data', ofWs)
  socket.on('data', take)
  socket.prependListener('close', takeRest)
  // A listener beside ws only counts.
  isShared = readShared(socket, (bytes) => socket.emit('data', isOver ? own(bytes) : bytes))
  return receiver
}
