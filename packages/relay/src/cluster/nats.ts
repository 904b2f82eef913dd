import { readFile } from 'node:fs/promises'
import { checkServerIdentity, type ConnectionOptions } from 'node:tls'
import { Failure } from '@sealmesh/protocol/errors'
import {
  connect,
  credsAuthenticator,
  type NatsConnection,
  type TlsOptions,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node'

/** How to reach NATS. Secrets come from files or the environment, never from a command line. */
export interface NatsOptions {
  readonly servers: readonly string[]
  /** Demanded of every server: what one of them says is not asked first. */
  readonly isTls: boolean
  readonly credentialsFile: string | null
  readonly user: string | null
  readonly password: string | null
  readonly caFile: string | null
}

/** Two connections, so that what is carried for nodes never stands before a question of one relay to another. */
export interface Nats {
  readonly control: NatsConnection
  readonly bulk: NatsConnection
}

const RECONNECT_MS = 250
const PING_MS = 5_000

/** Resolves with the first connection, however long that takes; what is lost later is found again for ever. */
export async function connectNats(options: NatsOptions, name: string): Promise<Nats> {
  const [control, bulk] = await Promise.all([open(options, `${name} control`), open(options, `${name} bulk`)])
  return { control, bulk }
}

async function open(options: NatsOptions, name: string): Promise<NatsConnection> {
  const { servers, isTls, credentialsFile, user, password, caFile } = options
  const authenticator =
    credentialsFile !== null
      ? credsAuthenticator(await fileOf(credentialsFile))
      : user !== null
        ? usernamePasswordAuthenticator(user, password ?? '')
        : undefined
  return await connect({
    servers: [...servers],
    name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_MS,
    waitOnFirstConnect: true,
    pingInterval: PING_MS,
    maxPingOut: 2,
    ignoreAuthErrorAbort: true,
    // The servers that are named, and no others: a name that one of them tells may not be what its certificate says.
    ignoreClusterUpdates: true,
    ...(authenticator === undefined ? {} : { authenticator }),
    ...(isTls ? { tls: tlsOptions(servers, caFile) } : {}),
  })
}

/**
 * Where a server is named by an IP address, the client library compares its certificate with no name at all, and all
 * fail. Then it has to be for one of the servers that are named: whoever has the key of one is in the cluster anyway.
 */
function tlsOptions(servers: readonly string[], caFile: string | null): TlsOptions {
  const hosts = servers.map((server) => new URL(`tls://${server}`).hostname.replace(/^\[|\]$/g, ''))
  // The library hands all of this to Node's own TLS, though its types name less.
  const options: TlsOptions & Pick<ConnectionOptions, 'checkServerIdentity'> = {
    ...(caFile === null ? {} : { caFile }),
    checkServerIdentity: (name, certificate) => {
      const [first = name, ...others] = hosts.includes(name) ? [name] : hosts
      const failure = checkServerIdentity(first, certificate)
      return others.some((host) => checkServerIdentity(host, certificate) === undefined) ? undefined : failure
    },
  }
  return options
}

/** Of `--cluster` and the environment. Plain NATS is for loopback: what relays tell each other is not sealed twice. */
export function natsOptions(text: string, env: Readonly<Record<string, string | undefined>>): NatsOptions {
  const servers = text.split(',').map((each) => each.trim())
  for (const server of servers) {
    const url = URL.canParse(server) ? new URL(server) : null
    const isPlain = url?.protocol === 'nats:'
    if (url === null || (!isPlain && url.protocol !== 'tls:') || url.host === '')
      throw usage('A cluster is named by nats:// or tls:// addresses, separated by commas.')
    if (url.username !== '' || url.password !== '')
      throw usage('A password has no place in an address: other users of this machine could read it.')
    if (isPlain && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname))
      throw usage('Without TLS a relay speaks to NATS on loopback only.')
  }
  const isTls = servers.some((server) => server.startsWith('tls:'))
  if (isTls && servers.some((server) => server.startsWith('nats:')))
    throw usage('Either all servers of a cluster are reached by TLS, or none.')
  return {
    servers: servers.map((server) => server.replace(/^(nats|tls):\/\//, '')),
    isTls,
    credentialsFile: env['SEALMESH_NATS_CREDENTIALS'] ?? null,
    user: env['SEALMESH_NATS_USER'] ?? null,
    password: env['SEALMESH_NATS_PASSWORD'] ?? null,
    caFile: env['SEALMESH_NATS_CA'] ?? null,
  }
}

const usage = (message: string): Failure =>
  new Failure('USAGE', message, {
    next: 'give --cluster nats://127.0.0.1:4222 or tls://HOST:4222, and SEALMESH_NATS_CREDENTIALS=FILE in the environment',
  })

async function fileOf(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new Failure('USAGE', 'The file of SEALMESH_NATS_CREDENTIALS cannot be read.', { cause: error })
  }
}
