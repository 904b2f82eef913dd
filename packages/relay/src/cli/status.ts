import { createHash } from 'node:crypto'
import { get as getHttp } from 'node:http'
import { get as getHttps } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { Failure } from '@sealmesh/protocol/errors'
import type { Health } from '../app.ts'
import { dataDirectory } from '../data/data-directory.ts'
import { type Running, readRunning } from '../data/running.ts'

const ANSWER_WAIT_MS = 3_000

export async function status(flags: Readonly<Record<string, string | undefined>>): Promise<void> {
  const data = dataDirectory(flags['data'], process.env)
  const running = await readRunning(data)
  const health = running === undefined ? undefined : await ask(running)
  if (running === undefined || health === undefined)
    throw new Failure('RELAY_UNREACHABLE', `No relay runs in ${data.path}.`, { next: 'sealmesh-relay up' })
  const { address, pid, startedMs } = running
  if (flags['json'] !== undefined) {
    process.stdout.write(`${JSON.stringify({ address, pid, startedMs, ...health })}\n`)
    return
  }
  const { status: state, version, connections, mailboxes, storedPackets, storedBytes } = health
  process.stdout.write(
    `relay ${version}: ${state}, process ${pid}, up since ${new Date(startedMs).toISOString()}\n` +
      `address:     ${address}\n` +
      `connections: ${connections}\n` +
      `mailboxes:   ${mailboxes}, holding ${storedPackets} ${storedPackets === 1 ? 'packet' : 'packets'} (${storedBytes} bytes)\n`,
  )
}

/** What /healthz says; undefined when nobody answers, or somebody else does. */
function ask(running: Running): Promise<Health | undefined> {
  return new Promise((resolve) => {
    const nobody = (): void => resolve(undefined)
    const url = `${running.http}/healthz`
    const options = { timeout: ANSWER_WAIT_MS, rejectUnauthorized: false }
    const request = (url.startsWith('https:') ? getHttps : getHttp)(url, options, (response) => {
      const certificate = running.pin === null ? undefined : (response.socket as TLSSocket).getPeerCertificate().raw
      if (certificate !== undefined && createHash('sha256').update(certificate).digest('hex') !== running.pin)
        return nobody()
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        body += chunk
      })
      response.on('end', () => {
        try {
          resolve(JSON.parse(body) as Health)
        } catch {
          nobody()
        }
      })
    })
    request.on('error', nobody)
    request.on('timeout', () => request.destroy())
  })
}
