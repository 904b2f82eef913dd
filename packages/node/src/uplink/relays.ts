import { setTimeout as wait } from 'node:timers/promises'
import { toHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import type { MeshId, RelayId } from '@sealmesh/protocol/ids'
import type { KeyPair, LoginPublicKey, Secret } from '@sealmesh/protocol/keys'
import type { Status } from '@sealmesh/protocol/ipc/methods'
import { mailboxDay, type OwnMailboxes } from '@sealmesh/protocol/envelope/daily-mailboxes'
import { readPacketHeader } from '@sealmesh/protocol/envelope/header'
import { DAY_MS } from '@sealmesh/protocol/limits'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { formatRelayAddress, parseRelayAddress, type RelayAddress } from '@sealmesh/protocol/wire/address'
import type { Logger } from 'pino'
import { z } from 'zod'
import { TOKEN } from '../setup/identity.ts'
import type { Meta } from '../store/meta.ts'
import { NamedRelay } from './named-relay.ts'
import { Offers, type Verdict } from './offers.ts'
import { type LinkEvent, type Login, openRelayLink, type RelayLink } from './relay-link.ts'
import { tryRelay } from './try-relay.ts'
import { type Ways, wayOf } from './ways.ts'
import type { WayBack } from './way-back.ts'

/** The last session of each relay, by relay id: a counter that falls means a wiped or restored relay. */
const Generations = z.record(z.string(), z.object({ generation: z.string(), counter: z.number() }))
const GENERATIONS = 'relay-generations'

/** Dialling and logging in take some 50 ms on a LAN, and a second or two around the world. */
const LIVE_WAIT_MS = 10_000
const LOOK_AGAIN_MS = 50
/** A machine that slept over midnight, or whose clock was set, notices within this. */
const DAY_CHECK_MS = 60_000

/** A second link that comes and goes has peers compare heads no more often than they do anyway. */
const READ_AGAIN_MS = 10_000

/**
 * The relays that the membership log names, each with a link of its own, as if they were one (docs/spec/07-relay.md §8):
 * what any of them delivers comes in, and what goes out is offered to one after the other until it is handed over.
 */
export class Relays {
  readonly #deps: RelaysDeps
  /** In the order of preference. */
  #relays: readonly NamedRelay[] = []
  readonly #offers = new Offers()
  #mesh: Mesh | undefined
  #generations: z.infer<typeof Generations> | undefined
  /** One change of the list at a time. */
  #changing: Promise<void> = Promise.resolve()
  /** Of pairings that are under way, by hexadecimal secret. */
  readonly #guests = new Map<string, Uint8Array>()
  #readAtMs = Number.NEGATIVE_INFINITY
  /** What had been stored for others is where nobody reads it. */
  #hasForgotten = false
  #day: number
  #dayTimer: NodeJS.Timeout
  #closed = false
  /** As of one link: live while any of them is. */
  onEvent: (event: LinkEvent) => void = () => undefined
  /** What each link says of itself. */
  onRelay: (relay: RelayId, event: LinkEvent) => void = () => undefined

  constructor(deps: RelaysDeps) {
    this.#deps = deps
    this.#day = mailboxDay(deps.now())
    this.#dayTimer = this.#atNextDay()
  }

  meshChanged(mesh: Mesh): Promise<void> {
    return this.#inTurn(() => this.#follow(mesh))
  }

  /** A person says where a relay is that the log has at `instead`. Whoever answers there has to prove that it is that one. */
  moved(address: string, instead: string): Promise<void> {
    return this.#deps.wayBack.move(address, instead)
  }

  /** Logs in there once, and leaves. Rejects with why that relay does not let this node in. */
  tryOut(address: RelayAddress, code: string | undefined): Promise<void> {
    return this.#inTurn(async () => {
      const before = this.#named(address.relay)
      if (before?.isLive === true && isSameAddress(before.address, address)) return
      // Two logins at once would look like a copied home.
      if (before !== undefined) await this.#part([before])
      try {
        await tryRelay(address, await this.#loginWith(code), this.#deps)
      } finally {
        if (this.#mesh !== undefined) await this.#follow(this.#mesh)
      }
    })
  }

  send(packet: Uint8Array, atOnce = false): 'sent' | 'full' | 'down' {
    if (this.#relays.length === 1) return this.#relays[0]!.link.send(packet, atOnce)
    const header = readPacketHeader(packet)
    const mailboxes = header.ok ? header.value.recipients.map(({ mailbox }) => mailbox) : []
    const live = this.#live
    const relay = this.#offers.firstFor(mailboxes, live)
    if (relay === undefined) return 'down'
    const sent = this.#named(relay)!.link.send(packet, atOnce)
    if (sent === 'sent' && header.ok && live.length > 1)
      this.#offers.sent({ id: header.value.id, bytes: packet, mailboxes }, relay)
    return sent
  }

  /** At every relay that is live now. Waits a little for one that is being dialled: right after `up` there is none yet. */
  async enrol(token: Uint8Array): Promise<void> {
    const first = await this.live()
    await first.enrol(token)
    const others = this.#relays.filter(({ link, isLive }) => isLive && link !== first)
    const answers = await Promise.allSettled(others.map(({ link }) => link.enrol(token)))
    for (const answer of answers)
      if (answer.status === 'rejected') this.#deps.log.warn({ err: answer.reason }, 'a relay did not let a login in')
  }

  /** At one relay, or at each that the log names: rejects where one of them was not told. */
  async revoke(revocation: Uint8Array, relay?: RelayId): Promise<void> {
    const told = relay === undefined ? this.#relays : this.#relays.filter((each) => each.relay === relay)
    if (told.length === 0) throw unreachable()
    const answers = await Promise.allSettled(told.map(({ link }) => link.revoke(revocation)))
    for (const answer of answers) if (answer.status === 'rejected') throw answer.reason
  }

  /** The first link that is live; rejects with RELAY_UNREACHABLE. */
  async live(): Promise<RelayLink> {
    const giveUpAtMs = performance.now() + LIVE_WAIT_MS
    for (;;) {
      const first = this.#relays.find(({ isLive }) => isLive)
      if (first !== undefined) return first.link
      // A refusal does not pass by waiting.
      const isHopeless = this.#relays.every(({ link }) => link.status.state === 'refused')
      if (isHopeless || performance.now() >= giveUpAtMs) throw unreachable()
      await wait(LOOK_AGAIN_MS)
    }
  }

  /** The link to one of them while it is live. */
  link(relay: RelayId): Pick<RelayLink, 'slot'> | undefined {
    const named = this.#named(relay)
    return named?.isLive === true ? named.link : undefined
  }

  /** Whether the log names it. */
  names(relay: RelayId): boolean {
    return this.#named(relay) !== undefined
  }

  get preferred(): RelayId | undefined {
    return this.#relays[0]?.relay
  }

  /** Resolves when all that lay at the relays that are live has been delivered. Rejects with a `Failure`. */
  async drained(): Promise<void> {
    const live = this.#relays.filter(({ isLive }) => isLive)
    if (live.length === 0) throw unreachable()
    const answers = await Promise.allSettled(live.map(({ link }) => link.drained()))
    // What lies at a relay that has gone meanwhile cannot be read now.
    for (const [at, answer] of answers.entries())
      if (answer.status === 'rejected' && (live[at]!.isLive || answers.every(({ status }) => status === 'rejected')))
        throw answer.reason
  }

  /** Beside those of each day: where somebody writes to who is not told them. The result ends it. */
  openGuestMailbox(secret: Uint8Array): () => void {
    const key = toHex(secret)
    this.#guests.set(key, secret)
    this.#openMailboxes()
    return () => {
      if (this.#guests.delete(key)) this.#openMailboxes()
    }
  }

  /** Where this node meets others now, for links that invite one more. */
  get address(): string | undefined {
    return (this.#relays.find(({ isLive }) => isLive) ?? this.#relays[0])?.address
  }

  /** Without what only the sync of this node knows. */
  status(): Omit<Status['relays'][number], 'unanswered'>[] {
    return this.#relays.map((each) => each.status())
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#dayTimer)
    await this.#changing
    await Promise.all(this.#relays.map(({ link }) => link.close()))
    this.#relays = []
  }

  async #follow(mesh: Mesh): Promise<void> {
    if (this.#closed) return
    this.#mesh = mesh
    // Of the run before this one, too.
    const had = this.#deps.wayBack.addresses
    const wanted = await this.#addressesIn(mesh)
    const before = this.#relays
    if (wanted.length === before.length && wanted.every((address, at) => before[at]?.address === address)) return
    // Before it is dialled elsewhere: two logins at a relay that has moved would look like a copied home.
    await this.#part(before.filter(({ address }) => !wanted.includes(address)))
    const ordered: NamedRelay[] = []
    for (const address of wanted) {
      const named = this.#relays.find((each) => each.address === address) ?? (await this.#open(address))
      if (named !== undefined) ordered.push(named)
      // Heard from this turn on.
      this.#relays = [...ordered, ...this.#relays.filter((each) => !ordered.includes(each))]
    }
    if (had.every((address) => isAmong(address, wanted))) return
    // Nobody reads there any more: what it stored counts as forgotten, and goes to the others.
    this.#hasForgotten = true
    if (this.#live.length > 0) this.#tellLive(false)
  }

  #tellLive(isNewGeneration: boolean): void {
    const newGeneration = isNewGeneration || this.#hasForgotten
    this.#hasForgotten = false
    this.#readAtMs = Number.NEGATIVE_INFINITY
    this.onEvent({ type: 'live', newGeneration })
  }

  async #part(gone: readonly NamedRelay[]): Promise<void> {
    const wasLive = this.#live.length > 0
    this.#relays = this.#relays.filter((each) => !gone.includes(each))
    await Promise.all(gone.map(({ link }) => link.close()))
    for (const { relay } of gone) this.#lose(relay)
    if (wasLive && this.#live.length === 0) this.onEvent({ type: 'down', reason: 'RELAY_CLOSED' })
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#changing.then(work)
    this.#changing = done.catch(() => undefined)
    return done
  }

  /** A log without any record of relays has lost it, where this node once knew of some. */
  async #addressesIn(mesh: Mesh): Promise<readonly string[]> {
    const { wayBack, log } = this.#deps
    const relays = mesh.relays.filter(({ relay }, at) => mesh.relays.findIndex((each) => each.relay === relay) === at)
    const addresses = relays.map(({ address }) => address)
    if (addresses.length === 0 && ![...mesh.records.values()].some(({ body }) => body.type === 'relay'))
      return wayBack.addresses.map((address) => wayBack.now(address))
    await wayBack
      .keep(addresses)
      .catch((error: unknown) => log.warn({ err: error }, 'the way back was not written down'))
    return addresses.map((address) => wayBack.now(address))
  }

  get isLive(): boolean {
    return this.#relays.some(({ isLive }) => isLive)
  }

  get #live(): RelayId[] {
    return this.#relays.flatMap(({ relay, isLive }) => (isLive ? [relay] : []))
  }

  #named(relay: RelayId): NamedRelay | undefined {
    return this.#relays.find((each) => each.relay === relay)
  }

  #openMailboxes(): void {
    for (const { link } of this.#relays) link.openMailboxes()
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
    this.#openMailboxes()
  }

  #heard(from: NamedRelay, event: LinkEvent): void {
    if (!this.#relays.includes(from)) return
    this.onRelay(from.relay, event)
    switch (event.type) {
      case 'live':
        if (event.newGeneration || this.#live.length === 1) this.#tellLive(event.newGeneration)
        return this.#offerOwed(from)
      case 'down':
        this.#lose(from.relay)
        if (this.#live.length === 0) return this.onEvent(event)
        // What it had handed over last may have reached nobody: heads say so through the others.
        if (from.hasFallen) this.#readAtMs = Number.NEGATIVE_INFINITY
        return this.#noteRead()
      case 'drained':
        return this.#noteRead()
      case 'answer': {
        const verdict = this.#offers.answered(event.packet, from.relay, event.outcomes, this.#live)
        if (verdict === undefined) return this.onEvent(event)
        return verdict === null ? undefined : this.#act(verdict)
      }
      case 'room':
        this.#offerOwed(from)
        return this.onEvent(event)
      case 'deliver':
        return this.onEvent({ ...event, via: from.relay })
      case 'lost':
      case 'notice':
        return this.onEvent(event)
    }
  }

  /** Once all that are live have been read; a slow one is not waited for longer than whoever hears this waits. */
  #noteRead(): void {
    if (!this.#relays.every(({ isLive, isRead }) => isRead || !isLive)) return
    const nowMs = performance.now()
    if (nowMs - this.#readAtMs < READ_AGAIN_MS) return
    this.#readAtMs = nowMs
    this.onEvent({ type: 'drained' })
  }

  #lose(relay: RelayId): void {
    const live = this.#live
    if (live.length === 0) return this.#offers.forget()
    for (const verdict of this.#offers.down(relay, live)) this.#act(verdict)
    // Nobody has kept what it did not answer: it counts as what a link takes with it.
    if (this.#offers.takeDoubt(relay)) this.#tellLive(false)
  }

  #act({ offer, tell, next }: Verdict): void {
    if (next !== null) this.#offer(offer, next)
    if (tell !== null) this.onEvent({ type: 'answer', packet: offer.id, outcomes: tell })
  }

  #offer({ id, bytes }: Verdict['offer'], relay: RelayId): void {
    if (this.#named(relay)?.link.send(bytes) === 'sent') this.#offers.offeredTo(id, relay)
  }

  #offerOwed({ relay }: NamedRelay): void {
    for (const offer of this.#offers.owedTo(relay)) this.#offer(offer, relay)
  }

  async #open(text: string): Promise<NamedRelay | undefined> {
    const { meta, sodium, log, mailboxes, redialMsMax, now, waysTo } = this.#deps
    const address = parseRelayAddress(text)
    if (!address.ok) {
      log.warn({ code: address.error.code }, 'the mesh names a relay whose address cannot be read')
      return undefined
    }
    this.#generations ??= (await meta.read(GENERATIONS, Generations)) ?? {}
    const { relay } = address.value
    const { claim } = this.#deps
    const isForIt = claim?.relay === undefined || claim.relay === relay
    const login = await this.#loginWith(isForIt ? claim?.code : undefined)
    const named: NamedRelay = new NamedRelay(
      text,
      relay,
      (onEvent) =>
        openRelayLink({
          address: address.value,
          login,
          mailboxes: () => [...mailboxes.secrets(now()), ...this.#guests.values()],
          backoffMsMax: redialMsMax,
          generations: {
            read: () => this.#generations?.[relay],
            write: (session) => {
              this.#generations = { ...this.#generations, [relay]: session }
              meta.write(GENERATIONS, Generations, this.#generations).catch((error: unknown) => {
                // Worst case after a crash: one resend of what the relay already holds.
                log.warn({ err: error }, 'the relay session was not remembered')
              })
            },
          },
          ways: () => waysTo(address.value),
          sodium,
          log,
          onEvent,
        }),
      () => wayOf(address.value, waysTo),
    )
    named.onEvent = (event) => this.#heard(named, event)
    return named
  }

  async #loginWith(code: string | undefined): Promise<Login> {
    const { meta, login: keys, mesh, root } = this.#deps
    const token = (await meta.readBytes(TOKEN)) ?? new Uint8Array()
    const claim = code !== undefined && root !== undefined ? { claim: { code, rootKey: root } } : {}
    return { mesh, keys, token, ...claim }
  }
}

const isSameAddress = (text: string, address: RelayAddress): boolean => text === formatRelayAddress(address)

/** Whether the relay of this address is named, wherever it is now. */
function isAmong(address: string, addresses: readonly string[]): boolean {
  const relayOf = (text: string): RelayId | undefined => {
    const parsed = parseRelayAddress(text)
    return parsed.ok ? parsed.value.relay : undefined
  }
  const relay = relayOf(address)
  return addresses.some((each) => relayOf(each) === relay)
}

const unreachable = (): Failure => new Failure('RELAY_UNREACHABLE', 'This node is not connected to a relay.')

export interface RelaysDeps {
  readonly meta: Meta
  readonly wayBack: WayBack
  readonly login: KeyPair<LoginPublicKey, 'login'>
  readonly mailboxes: OwnMailboxes
  readonly now: () => number
  readonly mesh: MeshId
  /** How an address is reached from here. Throws CONFIG_INVALID. */
  readonly waysTo: (address: RelayAddress) => Ways
  /** The longest pause before the relay is dialled again, where it is to be shorter than usual. */
  readonly redialMsMax: () => number | undefined
  readonly root: Secret<'root'> | undefined
  /** A code that admits the mesh, and to which relay; to each that asks for one where that is undefined. */
  readonly claim: { readonly relay: RelayId | undefined; readonly code: string } | undefined
  readonly sodium: Sodium
  readonly log: Logger
}
