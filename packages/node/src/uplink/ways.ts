import { readFileSync } from 'node:fs'
import { Failure } from '@sealmesh/protocol/errors'
import type { RelayAddress } from '@sealmesh/protocol/wire/address'

/** An HTTP proxy that opens tunnels. */
export interface Proxy {
  readonly host: string
  readonly port: number
  /** What it is shown of who asks, `user:password`; never logged or printed. */
  readonly credentials: string | null
}

/** How a relay is reached from this machine. */
export interface Ways {
  readonly proxy: Proxy | null
  /** The relay's Ed25519 key alone says who it is: the network may show a certificate of its own. */
  readonly relayKeyOnly: boolean
}

export const DIRECT: Ways = { proxy: null, relayKeyOnly: false }

export interface NetworkConfig {
  /** `http://host:port`, or `none` for none whatever the environment says. */
  readonly proxy?: string | undefined
  /** A file with `user:password`. */
  readonly proxy_credentials?: string | undefined
  readonly tls?: 'checked' | 'relay-key-only' | undefined
}

/**
 * What the config and the environment make of one address. The config comes first; `NO_PROXY` counts for both. Plain
 * WebSocket never leaves this machine, so no proxy sees it. Throws CONFIG_INVALID for a proxy that cannot be used.
 */
export function waysTo(address: RelayAddress, config: NetworkConfig, env: NodeJS.ProcessEnv): Ways {
  const { hostname, port, protocol } = new URL(address.url)
  const relayKeyOnly = address.tls === 'any' || config.tls === 'relay-key-only'
  if (protocol !== 'wss:' || isExempt(hostname, port || '443', of(env, 'NO_PROXY')))
    return { proxy: null, relayKeyOnly }
  return { proxy: proxyOf(config, env), relayKeyOnly }
}

/** For people: which certificate counts, and the proxy without its credentials. */
export function wayOf(address: RelayAddress, ways: (address: RelayAddress) => Ways) {
  try {
    const { proxy, relayKeyOnly } = ways(address)
    return {
      tls: tlsOf(address, relayKeyOnly),
      proxy: proxy === null ? null : `${proxy.host}:${proxy.port}`,
    }
  } catch {
    // A proxy that cannot be used: the link says why.
    return { tls: tlsOf(address, false), proxy: null }
  }
}

function tlsOf({ url, pin }: RelayAddress, relayKeyOnly: boolean) {
  if (!url.startsWith('wss:')) return 'none' as const
  return relayKeyOnly ? ('relay-key-only' as const) : pin === null ? ('authorities' as const) : ('pinned' as const)
}

function proxyOf(config: NetworkConfig, env: NodeJS.ProcessEnv): Proxy | null {
  if (config.proxy === 'none') return null
  const given = config.proxy ?? of(env, 'HTTPS_PROXY') ?? of(env, 'ALL_PROXY')
  if (given === undefined) return null
  const url = URL.canParse(given) ? new URL(given) : undefined
  if (url?.protocol !== 'http:' || url.hostname === '')
    throw new Failure('CONFIG_INVALID', 'The proxy is not of the form http://host:port.', {
      next: 'sealmesh config set network.proxy http://HOST:PORT, or none',
    })
  const user = url.username === '' ? null : `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return { host, port: Number(url.port || '80'), credentials: credentialsIn(config.proxy_credentials) ?? user }
}

function credentialsIn(path: string | undefined): string | null {
  if (path === undefined) return null
  try {
    return readFileSync(path, 'utf8').slice(0, CREDENTIALS_MAX).split('\n', 1)[0]?.trim() || null
  } catch (cause) {
    throw new Failure('CONFIG_INVALID', 'The file that network.proxy_credentials names cannot be read.', { cause })
  }
}

const CREDENTIALS_MAX = 1_024

/** Both spellings are in use. */
const of = (env: NodeJS.ProcessEnv, name: string): string | undefined =>
  env[name.toLowerCase()] || env[name] || undefined

/** `NO_PROXY`: hosts, domains with or without a dot before them, each with a port or not; `*` for all. */
function isExempt(host: string, port: string, list: string | undefined): boolean {
  return (list ?? '').split(/[\s,]+/).some((entry) => {
    if (entry === '*') return true
    const [, name = '', only] = /^(\[[^\]]+\]|[^:]+|[^:]*:[^:]*:.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? []
    const bare = name.replace(/^\*?\./, '')
    if (bare === '' || (only !== undefined && only !== port)) return false
    return host.toLowerCase() === bare || host.toLowerCase().endsWith(`.${bare}`)
  })
}
