import { BlockList, isIP, isIPv4 } from 'node:net'

/** Addresses of proxies whose word counts for whom they forward: `127.0.0.1` or `10.0.0.0/8`, separated by commas. */
export class TrustedProxies {
  readonly #list: BlockList

  constructor(list: BlockList) {
    this.#list = list
  }

  has(remote: string | undefined): boolean {
    const address = plain(remote ?? '')
    return isIP(address) !== 0 && this.#list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
  }
}

const PROXIES_MAX = 64

/** Undefined for what is no such list. */
export function trustedProxiesOf(text: string): TrustedProxies | undefined {
  const list = new BlockList()
  const parts = text.split(',')
  if (parts.length > PROXIES_MAX) return undefined
  for (const part of parts) {
    const [address = '', bits, ...more] = part.trim().split('/')
    const family = isIP(address)
    const width = family === 4 ? 32 : 128
    if (family === 0 || more.length > 0 || (bits !== undefined && !isWidth(bits, width))) return undefined
    list.addSubnet(address, bits === undefined ? width : Number(bits), family === 4 ? 'ipv4' : 'ipv6')
  }
  return new TrustedProxies(list)
}

/**
 * Whom a proxy forwards for, by its `X-Forwarded-For`: the last entry, which the proxy itself has added. Those before
 * it are what the stranger said. Undefined when there is none.
 */
export function forwardedFor(header: string | readonly string[] | undefined): string | undefined {
  const last = (typeof header === 'string' ? header : (header?.at(-1) ?? '')).split(',').at(-1)?.trim() ?? ''
  return isIP(last) === 0 ? undefined : last
}

/** As IPv4 where IPv6 only carries it. */
const plain = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/, '')

const isWidth = (bits: string, width: number): boolean => /^\d{1,3}$/.test(bits) && Number(bits) <= width
