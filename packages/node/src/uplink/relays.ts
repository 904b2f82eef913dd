import { setTimeout as wait } from 'node:timers/promises'
import { toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { MeshId, NodeId, RelayId } from '@sealmesh/protocol/ids'
import type { KeyPair, LoginPublicKey, Secret } from '@sealmesh/protocol/keys'
import type { Status } from '@sealmesh/protocol/ipc/methods'
import { mailboxDay, type OwnMailboxes } from '@sealmesh/protocol/envelope/daily-mailboxes'
import { DAY_MS } from '@sealmesh/protocol/limits'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { parseRelayAddress } from '@sealmesh/protocol/wire/address'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { LogKeeper } from '../membership/log-keeper.ts'
import { TOKEN } from '../setup/identity.ts'
import type { Meta } from '../store/meta.ts'
import { type LinkEvent, openRelayLink, type RelayLink } from './relay-link.ts'
import type { WayBack } from './way-back.ts'

/** The last session of each relay, by relay id: a counter that falls means a wiped or restored relay. */
const Generations = z.record(z.string(), z.object({ generation: z.string(), counter: z.number() }))
const GENERATIONS = 'relay-generations'

/** Dialling and logging in take some 50 ms on a LAN, and a second or two around the world. */
const LIVE_WAIT_MS = 10_000
const LOOK_AGAIN_MS = 50
/** A machine that slept over midnight, or whose clock was set, notices within this. */
const DAY_CHECK_MS = 60_000

/** The relays that the membership log names, and the link to the one in use: the first. */
export class Relays {
  readonly #deps: RelaysDeps
  #link: RelayLink | undefined
  #address: string | undefined
  /** When the link went live or down. */
  #changedAtMs: number | null = null
  #state: 'live' | 'down' | undefined
  #generations: z.infer<typeof Generations> = {}
  /** Of pairings that are under way, by hexadecimal secret. */
  readonly #guests = new Map<string, Uint8Array>()
  #day: number
  #dayTimer: NodeJS.Timeout
  onEvent: (event: LinkEvent) => void = () => undefined

  constructor(deps: RelaysDeps) {
    this.#deps = deps
    this.#day = mailboxDay(deps.now())
    this.#dayTimer = this.#atNextDay()
  }

  /** What the owner gave on the command line becomes a record, so that every node of the mesh learns of it. */
  async name(address: string, log: LogKeeper, node: NodeId, signKey: Secret<'sign'>): Promise<void> {
    if (log.mesh.relays[0]?.address === address) return
    const parsed = parseRelayAddress(address)
    if (!parsed.ok) throw new Failure('USAGE', 'The relay address is not one that sealmesh-relay up prints.')
    const relays = [{ address, relay: parsed.value.relay }]
    await log.append({ type: 'relay', relays }, { type: 'node', node }, signKey)
  }

  async meshChanged(mesh: Mesh): Promise<void> {
    const address = await this.#addressIn(mesh)
    if (address === this.#address) return
    this.#address = address
    this.#changedAtMs = null
    this.#state = undefined
    const old = this.#link
    this.#link = undefined
    if (old !== undefined) await old.close()
    if (address !== undefined) await this.#open(address)
  }

  send(packet: Uint8Array): 'sent' | 'full' | 'down' {
    return this.#link?.send(packet) ?? 'down'
  }

  /** Waits a little for a relay that is being dialled: right after `up` there is none yet. */
  async enrol(token: Uint8Array): Promise<void> {
    await (await this.#live(LIVE_WAIT_MS)).enrol(token)
  }

  async revoke(revocation: Uint8Array): Promise<void> {
    await (await this.#live(0)).revoke(revocation)
  }

  /** The link, when there is one; rejects with RELAY_UNREACHABLE. */
  live(): Promise<RelayLink> {
    return this.#live(LIVE_WAIT_MS)
  }

  /** Whose link it is, or will be. */
  get relay(): RelayId | undefined {
    const parsed = this.#address === undefined ? undefined : parseRelayAddress(this.#address)
    return parsed?.ok === true ? parsed.value.relay : undefined
  }

  /** Of the relay that is in use now. */
  get linkNow(): Pick<RelayLink, 'slot' | 'drained'> | undefined {
    return this.#link?.status.state === 'live' ? this.#link : undefined
  }

  /** Beside those of each day: where somebody writes to who is not told them. The result ends it. */
  openGuestMailbox(secret: Uint8Array): () => void {
    const key = toHex(secret)
    this.#guests.set(key, secret)
    this.#link?.openMailboxes()
    return () => {
      if (this.#guests.delete(key)) this.#link?.openMailboxes()
    }
  }

  /** Where this node meets others, for links that invite one more. */
  get address(): string | undefined {
    return this.#address
  }

  /** Without what only the sync of this node knows. */
  status(): Omit<Status['relays'][number], 'unanswered'>[] {
    if (this.#link === undefined || this.#address === undefined) return []
    const { state, reason, nextTryAtMs } = this.#link.status
    const nextTryAt = nextTryAtMs === null ? null : new Date(nextTryAtMs).toISOString()
    const since = this.#changedAtMs === null ? null : new Date(this.#changedAtMs).toISOString()
    return [{ address: this.#address, state, reason, nextTryAt, since }]
  }

  async close(): Promise<void> {
    clearTimeout(this.#dayTimer)
    await this.#link?.close()
    this.#link = undefined
  }

  /** A log without any record of relays has lost it, where this node once knew of one. */
  async #addressIn(mesh: Mesh): Promise<string | undefined> {
    const { wayBack, log } = this.#deps
    const address = mesh.relays[0]?.address
    if (address === undefined && ![...mesh.records.values()].some(({ body }) => body.type === 'relay'))
      return wayBack.address
    await wayBack.keep(address).catch((error: unknown) => log.warn({ err: error }, 'the way back was not written down'))
    return address
  }

  #atNextDay(): NodeJS.Timeout {
    const leftMs = DAY_MS - (this.#deps.now() % DAY_MS)
    return setTimeout(() => this.#turnDay(), Math.min(leftMs, DAY_CHECK_MS)).unref()
  }

  #turnDay(): void {
    this.#dayTimer = this.#atNextDay()
    const day = mailboxDay(this.#deps.now())
    if (day === this.#day) return
    this.#day = day
    this.#link?.openMailboxes()
  }

  /** Every attempt to dial that fails says `down` again. */
  #noteState(state: 'live' | 'down'): void {
    if (this.#state !== state) this.#changedAtMs = Date.now()
    this.#state = state
  }

  async #live(waitMs: number): Promise<RelayLink> {
    const giveUpAtMs = performance.now() + waitMs
    for (;;) {
      const state = this.#link?.status.state
      if (this.#link !== undefined && state === 'live') return this.#link
      // A refusal does not pass by waiting.
      if (state === undefined || state === 'refused' || performance.now() >= giveUpAtMs)
        throw new Failure('RELAY_UNREACHABLE', 'This node is not connected to its relay.')
      await wait(LOOK_AGAIN_MS)
    }
  }

  async #open(text: string): Promise<void> {
    const { meta, sodium, log, login, mailboxes, mesh, redialMsMax, root, claim, now } = this.#deps
    const address = parseRelayAddress(text)
    if (!address.ok) {
      log.warn({ code: address.error.code }, 'the mesh names a relay whose address cannot be read')
      return
    }
    this.#generations = (await meta.read(GENERATIONS, Generations)) ?? {}
    const relay: RelayId = address.value.relay
    this.#link = openRelayLink({
      address: address.value,
      login: {
        mesh,
        keys: login,
        token: (await meta.readBytes(TOKEN)) ?? new Uint8Array(),
        ...(claim !== undefined && root !== undefined ? { claim: { code: claim, rootKey: root } } : {}),
      },
      mailboxes: () => [...mailboxes.secrets(now()), ...this.#guests.values()],
      backoffMsMax: redialMsMax,
      generations: {
        read: () => this.#generations[relay],
        write: (session) => {
          this.#generations = { ...this.#generations, [relay]: session }
          meta.write(GENERATIONS, Generations, this.#generations).catch((error: unknown) => {
            // Worst case after a crash: one resend of what the relay already holds.
            log.warn({ err: error }, 'the relay session was not remembered')
          })
        },
      },
      sodium,
      log,
      onEvent: (event) => {
        if (event.type === 'live' || event.type === 'down') this.#noteState(event.type)
        this.onEvent(event)
      },
    })
  }
}

export interface RelaysDeps {
  readonly meta: Meta
  readonly wayBack: WayBack
  readonly login: KeyPair<LoginPublicKey, 'login'>
  readonly mailboxes: OwnMailboxes
  readonly now: () => number
  readonly mesh: MeshId
  /** The longest pause before the relay is dialled again, where it is to be shorter than usual. */
  readonly redialMsMax: () => number | undefined
  readonly root: Secret<'root'> | undefined
  readonly claim: string | undefined
  readonly sodium: Sodium
  readonly log: Logger
}
