import type { Duplex } from 'node:stream'

/**
 * Reads of a socket into memory that all of them share: what is read is used before the next read. Node would allocate
 * 64 KiB for each, which at hundreds of megabytes a second is most of what its collector has to do; and a larger read
 * brings more with one call of the kernel.
 *
 * Node has this for sockets that a program opens (`onread` of net.Socket), and not for those that a server accepts. So
 * its private names are used here, when all of them are there (as in Node 20); with any other Node reads are as usual.
 */

const READ_BYTES = 262_144

let memory: Buffer | null = null

interface Handle {
  useUserBuffer?: (memory: Uint8Array) => void
}

/** From now on `take` gets what the socket reads, lent for the call, instead of 'data'. False: all is as it was. */
export function readShared(socket: Duplex, take: (bytes: Uint8Array) => unknown): boolean {
  const [ofBuffer, ofCall, ofNext] = ['kBuffer', 'kBufferCb', 'kBufferGen'].map((name) =>
    Object.getOwnPropertySymbols(socket).find(({ description }) => description === name),
  )
  const fields = socket as unknown as Record<symbol, unknown>
  const { _handle: handle } = socket as { _handle?: Handle | null }
  if (ofBuffer === undefined || ofCall === undefined || ofNext === undefined) return false
  if (fields[ofBuffer] !== null || typeof handle?.useUserBuffer !== 'function') return false
  memory ??= Buffer.allocUnsafeSlow(READ_BYTES)
  fields[ofBuffer] = memory
  fields[ofCall] = (bytes: number, into: Uint8Array): void => void take(into.subarray(0, bytes))
  handle.useUserBuffer(memory)
  return true
}
