import type { RelayId } from '../ids.ts'
import { err, ok, type Result } from '../result.ts'

/**
 * Where a relay listens and whom to expect there (docs/spec/07-relay.md §1):
 *
 *   wss://host[:port][/path]#relay=<relay id, hex>[&pin=<SHA-256 of the certificate's DER, hex>][&tls=any]
 *   ws://127.0.0.1[:port]#relay=<relay id, hex>
 *
 * Without a pin the certificate must be one that this machine's authorities vouch for. With `tls=any`, which only an owner
 * chooses, no certificate counts: the relay's own key alone says who it is. Plain WebSocket is for
 * loopback alone: sealed packets would survive more, a claim code and the wish to hide who talks would not.
 */
export interface RelayAddress {
  /** What to dial: everything before the `#`. */
  readonly url: string
  readonly relay: RelayId
  readonly pin: string | null
  /** Whichever certificate the network shows. */
  readonly tls?: 'any'
}

export type AddressError = { code: 'USAGE'; why: 'malformed' | 'plain-beyond-loopback' }

const ADDRESS_CHARACTERS_MAX = 512 // A host name has at most 253, relay, pin and tls take 150.
const ADDRESS =
  /^(wss?):\/\/(\[[0-9a-f:.]+\]|[a-z0-9]+(?:[.-][a-z0-9]+)*)(:[0-9]{1,5})?(\/[a-z0-9._~/-]*)?#relay=([0-9a-f]{64})(?:&pin=([0-9a-f]{64}))?(&tls=any)?$/i

export function parseRelayAddress(text: string): Result<RelayAddress, AddressError> {
  const parts = text.length <= ADDRESS_CHARACTERS_MAX ? ADDRESS.exec(text) : null
  if (parts === null) return err({ code: 'USAGE', why: 'malformed' })
  const [, scheme = '', host = '', port = '', path = '', relay = '', pin, any] = parts
  if (Number(port.slice(1)) > 65_535) return err({ code: 'USAGE', why: 'malformed' })
  const plain = scheme.toLowerCase() === 'ws'
  if (plain && !isLoopback(host.toLowerCase())) return err({ code: 'USAGE', why: 'plain-beyond-loopback' })
  return ok({
    url: `${scheme}://${host}`.toLowerCase() + port + path,
    relay: relay.toLowerCase() as RelayId,
    pin: plain ? null : (pin?.toLowerCase() ?? null),
    ...(plain || any === undefined ? {} : { tls: 'any' as const }),
  })
}

export function formatRelayAddress(address: RelayAddress): string {
  const pin = address.pin === null ? '' : `&pin=${address.pin}`
  const tls = address.tls === undefined ? '' : `&tls=${address.tls}`
  return `${address.url}#relay=${address.relay}${pin}${tls}`
}

/** Names that cannot lead off this machine. `host` as in a URL, an IPv6 address in brackets or not. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || host === '::1' || /^127(\.[0-9]{1,3}){3}$/.test(host)
}
