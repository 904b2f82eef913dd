import { dial as dialAny } from '@sealmesh/node/uplink/dial'

/** In a process's own place of `dial`: relays at these ports cannot be reached from its network. */
const PORTS = new Set((process.env['SEALMESH_TEST_CLOSED_PORTS'] ?? '').split(','))

export const dial: typeof dialAny = (address, ...rest) => {
  const { port } = new URL(address.url)
  // Nothing listens on the port of discard.
  return dialAny(PORTS.has(port) ? { ...address, url: address.url.replace(`:${port}`, ':9') } : address, ...rest)
}
