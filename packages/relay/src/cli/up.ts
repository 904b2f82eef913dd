import { Failure } from '@sealmesh/protocol/errors'
import { PACKET_BYTES_MAX } from '@sealmesh/protocol/limits'
import { dataDirectory } from '../data/data-directory.ts'
import { type RelayOptions, runRelay } from '../main.ts'

const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug']
/** A stop that hangs must not outlive a supervisor's patience. */
const STOP_WAIT_MS = 8_000

/** Runs until SIGTERM or SIGINT. Address and claim code go to stdout, logs to stderr. */
export async function up(flags: Readonly<Record<string, string | undefined>>): Promise<void> {
  // Listened for before anything says that the relay is up: whoever reads that may stop it at once.
  const told = new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve())
    process.once('SIGINT', () => resolve())
  })
  const relay = await runRelay(optionsOf(flags))
  const { address, claim, http } = relay
  if (flags['json'] === undefined) {
    process.stdout.write(`relay address: ${address}\n`)
    if (claim !== null) process.stdout.write(`claim code:    ${claim}\n  admits one mesh, once, within a day\n`)
  } else process.stdout.write(`${JSON.stringify({ address, claim, http })}\n`)

  await told
  setTimeout(() => process.exit(1), STOP_WAIT_MS).unref()
  await relay.stop()
}

function optionsOf(flags: Readonly<Record<string, string | undefined>>): RelayOptions {
  const port = whole(flags, 'port', 0, 65_535)
  const mailboxBytesMax = whole(flags, 'mailboxBytes', PACKET_BYTES_MAX, 2 ** 40)
  const mailboxPacketsMax = whole(flags, 'mailboxPackets', 1, 2 ** 24)
  const meshBytesMax = whole(flags, 'meshBytes', PACKET_BYTES_MAX, 2 ** 40)
  const meshPacketsMax = whole(flags, 'meshPackets', 1, 2 ** 24)
  const meshMailboxesMax = whole(flags, 'meshMailboxes', 1, 2 ** 24)
  const logLevel = flags['logLevel'] ?? 'info'
  if (!LOG_LEVELS.includes(logLevel))
    throw new Failure('USAGE', `A log level is one of ${LOG_LEVELS.join(', ')}.`, { next: 'sealmesh-relay up --help' })
  const { publicHost } = flags
  const tls = tlsOf(flags)
  return {
    data: dataDirectory(flags['data'], process.env),
    host: flags['host'] ?? (tls.type === 'none' ? '127.0.0.1' : '0.0.0.0'),
    port,
    tls,
    logLevel,
    limits: { mailboxBytesMax, mailboxPacketsMax, meshBytesMax, meshPacketsMax, meshMailboxesMax },
    ...(publicHost === undefined ? {} : { publicHost }),
  }
}

function whole(flags: Readonly<Record<string, string | undefined>>, name: string, min: number, max: number): number {
  const value = Number(flags[name])
  if (Number.isInteger(value) && value >= min && value <= max) return value
  const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  throw new Failure('USAGE', `--${flag} is a whole number between ${min} and ${max}.`, {
    next: 'sealmesh-relay up --help',
  })
}

function tlsOf(flags: Readonly<Record<string, string | undefined>>): RelayOptions['tls'] {
  const { tls, cert, key } = flags
  if (cert !== undefined || key !== undefined || tls === 'files') {
    if (cert === undefined || key === undefined || (tls !== undefined && tls !== 'files'))
      throw new Failure('USAGE', 'A certificate needs its file and its key.', { next: 'give --cert FILE --key FILE' })
    return { type: 'files', cert, key }
  }
  if (tls === undefined || tls === 'self-signed') return { type: 'self-signed' }
  if (tls === 'none') return { type: 'none' }
  throw new Failure('USAGE', 'TLS is self-signed, none or files.', { next: 'sealmesh-relay up --help' })
}
