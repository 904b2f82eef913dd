import { dirname, resolve } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { DEFAULT_LIMITS, type RelayLimits } from '../core/limits.ts'
import { expectedOf, isWithin, keyOfLimit, LIMIT_NAMES, type LimitName, limitOfKey } from './limit-table.ts'
import {
  ADMISSIONS,
  type Config,
  isPublicUrl,
  LOG_LEVELS,
  PUBLIC_URL_EXPECTED,
  TLS_MODES,
  TRUSTED_PROXY_EXPECTED,
} from './schema.ts'
import { trustedProxiesOf } from '../socket/forwarded.ts'

/** What a relay goes by: the command line first, then the file, then the defaults. */
export interface Settings {
  readonly host: string
  readonly port: number
  /** The name that nodes dial; this machine's first address otherwise. */
  readonly publicHost: string | null
  /** All that nodes dial, before the `#`, where it is not this host and port. */
  readonly publicUrl: string | null
  /** Proxies whose word counts for whom they forward; null for none. Checked, and as it was written. */
  readonly trustedProxy: string | null
  readonly tls: TlsSettings
  readonly metrics: { readonly host: string; readonly port: number } | null
  /** NATS servers of the cluster that it is one of: nats:// or tls:// addresses, separated by commas. */
  readonly cluster: string | null
  readonly admission: (typeof ADMISSIONS)[number]
  readonly logLevel: (typeof LOG_LEVELS)[number]
  readonly limits: RelayLimits
  readonly limitOrigins: Readonly<Record<LimitName, Origin>>
}

export type TlsSettings =
  | { readonly type: 'self-signed' }
  | { readonly type: 'none' }
  | { readonly type: 'files'; readonly cert: string; readonly key: string }

export type Origin = 'flag' | 'file' | 'default'

/** Of `sealmesh-relay up`, as they were typed. */
export interface UpFlags {
  readonly host?: string
  readonly port?: string
  readonly publicHost?: string
  readonly publicUrl?: string
  readonly trustedProxy?: string
  readonly tls?: string
  readonly cert?: string
  readonly key?: string
  readonly metrics?: string
  readonly cluster?: string
  readonly admission?: string
  readonly logLevel?: string
  readonly mailboxBytes?: string
  readonly mailboxPackets?: string
  readonly meshBytes?: string
  readonly meshPackets?: string
  readonly meshMailboxes?: string
  /** `key=number`, with the keys of the file. */
  readonly limit?: readonly string[]
}

const PORT = 7_443

/** Flags that name one limit each. */
const LIMIT_FLAGS = {
  mailboxBytes: 'mailboxBytesMax',
  mailboxPackets: 'mailboxPacketsMax',
  meshBytes: 'meshBytesMax',
  meshPackets: 'meshPacketsMax',
  meshMailboxes: 'meshMailboxesMax',
} as const satisfies Partial<Record<keyof UpFlags, LimitName>>

/** Throws USAGE for what the flags say, CONFIG_INVALID for what the file does. `path`: where its names are relative to. */
export function settingsOf(flags: UpFlags, config: Config, path: string): Settings {
  const tls = tlsOf(flags, config, path)
  const host = flags.host ?? config.listen.host ?? (tls.type === 'none' ? '127.0.0.1' : '0.0.0.0')
  return {
    host,
    port: flags.port === undefined ? (config.listen.port ?? PORT) : portOf(flags.port),
    publicHost: flags.publicHost ?? config.listen.public_host ?? null,
    publicUrl:
      checked(flags.publicUrl, isPublicUrl, '--public-url', PUBLIC_URL_EXPECTED) ?? config.listen.public_url ?? null,
    trustedProxy:
      checked(flags.trustedProxy, isProxies, '--trusted-proxy', TRUSTED_PROXY_EXPECTED) ??
      config.listen.trusted_proxy ??
      null,
    tls,
    metrics: metricsOf(flags.metrics ?? config.metrics.listen ?? 'off'),
    cluster: flags.cluster ?? config.cluster.nats ?? null,
    admission: oneOf(ADMISSIONS, flags.admission ?? config.admission.mode ?? 'claims', 'Admission'),
    logLevel: oneOf(LOG_LEVELS, flags.logLevel ?? config.log.level ?? 'info', 'A log level'),
    ...limitsOf(flags, config),
  }
}

/** The same as a file would say it. */
export function configOf(settings: Settings): Config {
  const { host, port, publicHost, publicUrl, trustedProxy, tls, metrics, cluster, admission, logLevel, limits } =
    settings
  const metricsHost = metrics?.host.includes(':') === true ? `[${metrics.host}]` : metrics?.host
  return {
    listen: {
      host,
      port,
      ...(publicHost === null ? {} : { public_host: publicHost }),
      ...(publicUrl === null ? {} : { public_url: publicUrl }),
      ...(trustedProxy === null ? {} : { trusted_proxy: trustedProxy }),
    },
    tls: { mode: tls.type, ...(tls.type === 'files' ? { cert: tls.cert, key: tls.key } : {}) },
    cluster: cluster === null ? {} : { nats: cluster },
    admission: { mode: admission },
    log: { level: logLevel },
    metrics: { listen: metrics === null ? 'off' : `${metricsHost}:${metrics.port}` },
    limits: Object.fromEntries(LIMIT_NAMES.map((name) => [keyOfLimit(name), limits[name]])),
  }
}

function limitsOf(flags: UpFlags, config: Config): Pick<Settings, 'limits' | 'limitOrigins'> {
  const typed = typedLimits(flags)
  const limits: Record<LimitName, number> = { ...DEFAULT_LIMITS }
  const limitOrigins = Object.fromEntries(LIMIT_NAMES.map((name) => [name, 'default'])) as Record<LimitName, Origin>
  for (const name of LIMIT_NAMES) {
    const [flag, written] = [typed.get(name), config.limits[keyOfLimit(name)]]
    if (flag === undefined && written === undefined) continue
    limits[name] = flag ?? written ?? limits[name]
    limitOrigins[name] = flag === undefined ? 'file' : 'flag'
  }
  return { limits, limitOrigins }
}

function typedLimits(flags: UpFlags): Map<LimitName, number> {
  const typed = new Map<LimitName, number>()
  const take = (flag: string, name: LimitName, text: string): void => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || !isWithin(name, value)) throw usage(`${flag}: ${expectedOf(name)}.`)
    typed.set(name, value)
  }
  for (const [flag, name] of Object.entries(LIMIT_FLAGS) as [keyof typeof LIMIT_FLAGS, LimitName][]) {
    const text = flags[flag]
    if (text !== undefined) take(`--${flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, name, text)
  }
  for (const each of flags.limit ?? []) {
    const [key = '', value = ''] = each.split('=')
    const name = limitOfKey(key)
    if (name === undefined)
      throw new Failure('USAGE', '--limit takes one of the keys of the config, as in mailbox_bytes_max=1000000.', {
        next: 'sealmesh-relay limits lists them',
      })
    take(`--limit ${key}`, name, value)
  }
  return typed
}

function tlsOf(flags: UpFlags, config: Config, path: string): TlsSettings {
  // What is typed of it takes the place of all that the file says of it.
  const typed = flags.tls !== undefined || flags.cert !== undefined || flags.key !== undefined
  const { mode, cert, key } = typed ? { mode: flags.tls, cert: flags.cert, key: flags.key } : config.tls
  const type = oneOf(TLS_MODES, mode ?? (cert === undefined && key === undefined ? 'self-signed' : 'files'), 'TLS')
  if (type !== 'files' && cert === undefined && key === undefined) return { type }
  if (type === 'files' && cert !== undefined && key !== undefined) {
    const from = typed ? process.cwd() : dirname(resolve(path))
    return { type, cert: resolve(from, cert), key: resolve(from, key) }
  }
  if (typed)
    throw new Failure('USAGE', 'A certificate needs its file and its key.', { next: 'give --cert FILE --key FILE' })
  throw new Failure('CONFIG_INVALID', `${path}: tls: a certificate needs its file and its key, and mode = "files".`, {
    next: 'name both in [tls], or neither',
  })
}

const isProxies = (text: string): boolean => trustedProxiesOf(text) !== undefined

function checked(
  text: string | undefined,
  isRight: (text: string) => boolean,
  flag: string,
  expected: string,
): string | undefined {
  if (text === undefined || isRight(text)) return text
  throw usage(`${flag}: ${expected}.`)
}

function metricsOf(text: string): Settings['metrics'] {
  if (text === 'off') return null
  const at = text.lastIndexOf(':')
  const host = text.slice(0, at).replace(/^\[(.*)\]$/, '$1')
  if (at < 1 || host === '') throw usage('--metrics takes an address and a port such as 127.0.0.1:9464, or off.')
  return { host, port: portOf(text.slice(at + 1)) }
}

function portOf(text: string): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= 65_535) return port
  throw usage('A port is a whole number between 0 and 65535.')
}

function oneOf<Word extends string>(words: readonly Word[], given: string, what: string): Word {
  const found = words.find((word) => word === given)
  if (found !== undefined) return found
  throw usage(`${what} is one of ${words.join(', ')}.`)
}

const usage = (message: string): Failure => new Failure('USAGE', message, { next: 'sealmesh-relay up --help' })
