/** CRC-32C as LevelDB's files carry it. node:zlib has only the other polynomial. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)
  return crc >>> 0
})

/** A running state, so that a reader can try every end of a block at the cost of one pass. */
export const CRC_START = 0xffffffff
export const crcStep = (state: number, byte: number): number => (state >>> 8) ^ TABLE[(state ^ byte) & 0xff]!
/** LevelDB stores them turned and shifted, since its files hold checksums of data that holds checksums. */
export const maskedCrc = (state: number): number => {
  const crc = (state ^ 0xffffffff) >>> 0
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}

export function maskedCrcOf(bytes: Uint8Array, from: number, to: number, start: number = CRC_START): number {
  let state = start
  for (let at = from; at < to; at++) state = (state >>> 8) ^ TABLE[(state ^ bytes[at]!) & 0xff]!
  return maskedCrc(state)
}

export const uint32At = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
