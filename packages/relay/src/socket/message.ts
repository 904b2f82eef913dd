import type { Duplex } from 'node:stream'

/**
 * One binary WebSocket message from a server: a head (RFC 6455 §5.2: final, binary, not masked) and its parts. ws would
 * have the parts copied into one first; it does the rest of the protocol, and writes to the same socket in order.
 */
export function writeMessage(socket: Duplex, parts: readonly Uint8Array[]): void {
  let length = 0
  for (const part of parts) length += part.length
  socket.write(headOf(length))
  for (const part of parts) socket.write(part)
}

const FINAL_BINARY = 0x82
const LENGTH_16 = 126
const LENGTH_64 = 127

function headOf(length: number): Uint8Array {
  if (length < LENGTH_16) return Uint8Array.of(FINAL_BINARY, length)
  if (length < 65_536) return Uint8Array.of(FINAL_BINARY, LENGTH_16, length >> 8, length & 255)
  const head = new Uint8Array(10)
  head[0] = FINAL_BINARY
  head[1] = LENGTH_64
  new DataView(head.buffer).setBigUint64(2, BigInt(length))
  return head
}
