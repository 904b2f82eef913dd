import type { Duplex } from 'node:stream'

/**
 * One binary WebSocket message from a server: a head (RFC 6455 §5.2: final, binary, not masked) and its parts. ws would
 * have the parts copied into one first; it does the rest of the protocol, and writes to the same socket in order.
 */
export function writeMessage(socket: Duplex, parts: readonly Uint8Array[]): void {
  let length = 0
  for (const part of parts) length += part.length
  const [first, ...rest] = parts
  if (first === undefined) return
  const head = headBytes(length)
  if (first.length <= JOINED_BYTES_MAX) {
    // One piece less for the kernel: worth more than a short copy.
    const joined = Buffer.allocUnsafe(head + first.length)
    putHead(joined, length)
    joined.set(first, head)
    socket.write(joined)
  } else {
    const alone = Buffer.allocUnsafe(head)
    putHead(alone, length)
    socket.write(alone)
    socket.write(first)
  }
  for (const part of rest) socket.write(part)
}

/** A first part up to this is written together with the head. */
const JOINED_BYTES_MAX = 1_024

const FINAL_BINARY = 0x82
const LENGTH_16 = 126
const LENGTH_64 = 127

const headBytes = (length: number): number => (length < LENGTH_16 ? 2 : length < 65_536 ? 4 : 10)

function putHead(bytes: Buffer, length: number): void {
  bytes[0] = FINAL_BINARY
  if (length < LENGTH_16) bytes[1] = length
  else if (length < 65_536) {
    bytes[1] = LENGTH_16
    bytes.writeUInt16BE(length, 2)
  } else {
    bytes[1] = LENGTH_64
    bytes.writeUInt32BE(Math.floor(length / 0x1_0000_0000), 2)
    bytes.writeUInt32BE(length >>> 0, 6)
  }
}
