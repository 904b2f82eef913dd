import { createHash } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { Failure, type FailureCode } from '@sealmesh/protocol/errors'
import type { RelayAddress } from '@sealmesh/protocol/wire/address'
import { decodeFrame } from '@sealmesh/protocol/wire/frame'
import { WebSocket } from 'ws'
import { openTunnel } from '../uplink/tunnel.ts'
import type { Ways } from '../uplink/ways.ts'

export interface Step {
  readonly name: 'name' | 'proxy' | 'connect' | 'tls' | 'upgrade' | 'challenge'
  readonly ms: number
  /** Null for a step that was taken; else why the way ends here. */
  readonly reason: FailureCode | null
  /** What was found, in words. May hold what a stranger wrote: print it as such. */
  readonly found: string
}

/** Of the certificate that was shown, in a stranger's words. */
interface Shown {
  readonly subject: string
  readonly issuer: string
  /** SHA-256 of its DER, hexadecimal. */
  readonly sha256: string
}

export interface Checked {
  readonly steps: readonly Step[]
  readonly certificate: Shown | null
  /** Neither the pinned one nor one that this machine's authorities vouch for. */
  readonly isReplaced: boolean
  readonly reason: FailureCode | null
}

const STEP_MS_MAX = 10_000
const STRANGER_CHARACTERS_MAX = 120

/**
 * Goes the way to a relay step by step as a link would, up to its challenge, and says how far that leads. It does not log
 * in: whether who answers has the key that it names, only a login shows. Never rejects.
 */
export function checkRelay(address: RelayAddress, waysNow: () => Ways): Promise<Checked> {
  return check(address, waysNow)
}

/** The same to where another machine of the mesh is to listen: who that is, members alone can tell. */
export function checkPeer(url: string): Promise<Checked> {
  return check({ url, relay: null, pin: null }, () => ({ proxy: null, relayKeyOnly: true }))
}

async function check(address: Place, waysNow: () => Ways): Promise<Checked> {
  const way = new Way(address)
  try {
    await way.go(waysNow())
  } catch (error) {
    way.endHere(error)
  } finally {
    way.close()
  }
  return way.checked
}

interface Place extends Omit<RelayAddress, 'relay'> {
  /** Null where no name is to be expected. */
  readonly relay: RelayAddress['relay'] | null
}

class Way {
  readonly #address: Place
  readonly #steps: Step[] = []
  #certificate: Shown | null = null
  #isReplaced = false
  #name: Step['name'] = 'name'
  #beganMs = performance.now()
  #open: Socket | undefined
  /** Ends a way through a proxy that is not open yet. */
  #giveUp = (): void => undefined
  #socket: WebSocket | undefined

  constructor(address: Place) {
    this.#address = address
  }

  get checked(): Checked {
    const reason = this.#steps.at(-1)?.reason ?? null
    return { steps: this.#steps, certificate: this.#certificate, isReplaced: this.#isReplaced, reason }
  }

  async go({ proxy, relayKeyOnly }: Ways): Promise<void> {
    const { hostname, port: given, protocol } = new URL(this.#address.url)
    const host = hostname.replace(/^\[|\]$/g, '')
    const port = Number(given || (protocol === 'wss:' ? '443' : '80'))
    if (proxy === null) {
      this.#begin('name')
      const { address } = await within(lookup(host))
      this.#took(isIP(host) === 0 ? `${host} is ${address}` : `${host} is an address`)
      this.#begin('connect')
      await this.#connect(connectTcp({ host: address, port }), 'connect')
      this.#took(`connected to port ${port}`)
    } else {
      this.#begin('proxy')
      await within(
        new Promise<void>((resolve, reject) => {
          this.#giveUp = openTunnel(proxy, host, port, (error, socket) => {
            this.#open = socket
            if (error === null) resolve()
            else reject(error)
          })
        }),
      )
      this.#took(`the proxy ${proxy.host}:${proxy.port} has opened a way to ${host}:${port}`)
    }
    if (protocol === 'wss:') await this.#secure(host, relayKeyOnly)
    await this.#greet()
  }

  endHere(error: unknown): void {
    const reason = error instanceof Failure ? error.code : 'RELAY_UNREACHABLE'
    this.#steps.push({ name: this.#name, ms: this.#ms(), reason, found: wordsOf(error) })
  }

  close(): void {
    this.#giveUp()
    this.#socket?.terminate()
    this.#open?.destroy()
  }

  async #secure(host: string, relayKeyOnly: boolean): Promise<void> {
    this.#begin('tls')
    const name = isIP(host) === 0 ? { servername: host } : {}
    // Looked at before it is judged, so that one that is refused can be named.
    const socket = connectTls({ socket: this.#open!, host, ...name, rejectUnauthorized: false })
    await this.#connect(socket, 'secureConnect')
    const shown = shownBy(socket)
    this.#certificate = shown
    const { pin } = this.#address
    const isVouched = socket.authorized
    this.#isReplaced = pin === null ? !isVouched : shown.sha256 !== pin
    const what = `a certificate for ${shown.subject} by ${shown.issuer}`
    if (!this.#isReplaced) return this.#took(pin === null ? `${what}, vouched for` : `${what}, the pinned one`)
    const why = pin === null ? "which this machine's authorities do not vouch for" : 'which is not the pinned one'
    if (this.#address.relay === null) return this.#took(`${what}: the login alone shows who it is`)
    if (!relayKeyOnly) throw new Failure('RELAY_WRONG_PIN', `${what}, ${why}`)
    this.#took(`${what}, ${why}: by your choice the relay's own key counts alone`)
  }

  async #greet(): Promise<void> {
    this.#begin('upgrade')
    const socket = new WebSocket(this.#address.url, {
      perMessageDeflate: false,
      followRedirects: false,
      maxPayload: CHALLENGE_BYTES_MAX,
      createConnection: () => this.#open!,
    })
    this.#socket = socket
    const first = new Promise<Uint8Array>((resolve, reject) => {
      socket.once('message', (data) => resolve(data as Uint8Array))
      socket.once('close', () => reject(new Failure('HELLO_TIMEOUT', 'it ended the connection and said nothing')))
      socket.once('error', reject)
    })
    first.catch(() => undefined)
    await within(
      new Promise<void>((resolve, reject) => {
        socket.once('open', resolve)
        socket.once('unexpected-response', (_, { statusCode }) =>
          reject(new Failure('RELAY_UNREACHABLE', `a web server answers, with HTTP ${statusCode} and no relay`)),
        )
        socket.on('error', reject)
      }),
    )
    this.#took('a WebSocket is open')
    this.#begin('challenge')
    const frame = decodeFrame(await within(first))
    if (!frame.ok || frame.value.type !== 'challenge')
      throw new Failure('FRAME_UNEXPECTED', 'what answers does not speak as a relay or a node does')
    if (this.#address.relay === null) return this.#took('it takes direct links')
    if (frame.value.relay !== this.#address.relay)
      throw new Failure('RELAY_WRONG_KEY', `it is another relay: relay_${frame.value.relay}`)
    this.#took('it names the key of the address')
  }

  async #connect(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
    this.#open = socket
    socket.on('error', () => undefined)
    await within(
      new Promise<void>((resolve, reject) => {
        socket.once(event, resolve)
        socket.once('error', reject)
      }),
    )
  }

  #begin(name: Step['name']): void {
    this.#name = name
    this.#beganMs = performance.now()
  }

  #took(found: string): void {
    this.#steps.push({ name: this.#name, ms: this.#ms(), reason: null, found })
  }

  #ms = (): number => Math.round((performance.now() - this.#beganMs) * 10) / 10
}

/** The first frame of any relay. */
const CHALLENGE_BYTES_MAX = 4_096

function shownBy(socket: TLSSocket): Shown {
  const { subject, issuer, raw } = socket.getPeerCertificate()
  const nameOf = (who: typeof subject | undefined): string =>
    [who?.CN, who?.O].flat().find((word) => word !== undefined) ?? 'nobody that it names'
  return {
    subject: nameOf(subject).slice(0, STRANGER_CHARACTERS_MAX),
    issuer: nameOf(issuer).slice(0, STRANGER_CHARACTERS_MAX),
    sha256: createHash('sha256').update(raw).digest('hex'),
  }
}

async function within<T>(step: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Failure('RELAY_UNREACHABLE', `nothing for ${STEP_MS_MAX / 1_000} seconds`)),
      STEP_MS_MAX,
    )
  })
  try {
    return await Promise.race([step, late])
  } finally {
    clearTimeout(timer)
  }
}

function wordsOf(error: unknown): string {
  if (error instanceof Failure) return error.message
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' ? (WORDS[code] ?? code) : 'no answer that can be used'
}

const WORDS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'no such name',
  EAI_AGAIN: 'names cannot be looked up now',
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was cut',
  EHOSTUNREACH: 'no way to that machine',
  ENETUNREACH: 'no way to that network',
  ETIMEDOUT: 'no answer',
}
