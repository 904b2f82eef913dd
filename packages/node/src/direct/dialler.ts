import { equalBytes } from '@sealmesh/protocol/bytes'
import type { FailureCode } from '@sealmesh/protocol/errors'
import type { MeshId, NodeId, PacketId, RelayId } from '@sealmesh/protocol/ids'
import { err, ok } from '@sealmesh/protocol/result'
import type { Logger } from 'pino'
import { dial } from '../uplink/dial.ts'
import type { Identify } from '../uplink/greeting.ts'
import type { LinkEvent } from '../uplink/link-event.ts'
import { openRelayLink, type RelayLink } from '../uplink/relay-link.ts'
import { PING_EVERY_MS, SILENCE_MS_MAX } from './core/direct-limits.ts'
import { generationOf } from './core/generation.ts'
import { keeps } from './core/which-link.ts'
import type { DirectLink } from './direct-link.ts'
import type { DirectLinks } from './direct-links.ts'
import type { Members } from './members.ts'

export interface DiallerDeps {
  readonly members: Members
  readonly links: DirectLinks
  readonly node: NodeId
  readonly mesh: MeshId
  readonly log: Pick<Logger, 'info'>
  readonly dice: () => number
}

/** An address where another machine may be reached. */
export interface Target {
  readonly url: string
  /** Who has to be there; null for one that was found, where any other member may be. */
  readonly node: NodeId | null
  readonly from: 'config' | 'mdns'
}

/** Where this node stands with one of its targets. */
export interface TargetStatus extends Target {
  /** `not needed`: there is a link to that machine that it dialled itself. */
  readonly state: RelayLink['status']['state'] | 'not needed'
  readonly reason: FailureCode | null
  readonly nextTryAtMs: number | null
  /** Of the last one who answered there. */
  readonly peer: NodeId | null
}

const PACE = { pingEveryMs: PING_EVERY_MS, silenceMsMax: SILENCE_MS_MAX, isPatient: true }
/** Before it is dialled again where the link of the other side has just fallen: that one dials as well. */
const AFTER_OTHERS_MS = 1_000
/** Tries at an address that was found on the LAN; who is still there announces himself again. */
const FOUND_TRIES_MAX = 3
const WAYS = { proxy: null, relayKeyOnly: true }

/** Dials other machines at addresses of the config or of the LAN, while there is no better link to them. */
export class Dialler {
  readonly #deps: DiallerDeps
  readonly #dialled = new Map<string, Dialled>()

  constructor(deps: DiallerDeps) {
    this.#deps = deps
  }

  /** Of those that were found on the LAN. */
  get found(): number {
    return this.status().filter(({ from }) => from === 'mdns').length
  }

  /** Whether it is dialled there already, whoever is meant. */
  has(url: string): boolean {
    return this.status().some((each) => each.url === url)
  }

  /** Once for each address, the first time counts. */
  add(target: Target): void {
    const key = `${target.url} ${target.node}`
    if (this.#dialled.has(key)) return
    const dialled: Dialled = new Dialled(target, this.#deps, () => {
      // One that was found and does not answer makes room for others.
      if (this.#dialled.get(key) === dialled) this.#dialled.delete(key)
    })
    this.#dialled.set(key, dialled)
  }

  /** A machine has a link now, or has lost it. */
  review(): void {
    for (const each of this.#dialled.values()) each.review()
  }

  /** Who was unknown there may be known now. */
  nudge(): void {
    for (const each of this.#dialled.values()) each.nudge()
  }

  status(): TargetStatus[] {
    return [...this.#dialled.values()].map((each) => each.status())
  }

  async close(): Promise<void> {
    const all = [...this.#dialled.values()]
    this.#dialled.clear()
    await Promise.all(all.map((each) => each.close()))
  }
}

class Dialled implements DirectLink {
  readonly dialledBy = 'here'
  readonly at: string
  sinceMs = 0
  readonly #target: Target
  readonly #deps: DiallerDeps
  readonly #giveUp: () => void
  #link: RelayLink | undefined
  /** Who answers the present connection, and the last one that did. */
  #peer: NodeId | undefined
  #isLive = false
  #failures = 0
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(target: Target, deps: DiallerDeps, giveUp: () => void) {
    this.#target = target
    this.#deps = deps
    this.#giveUp = giveUp
    this.#peer = target.node ?? undefined
    this.at = target.url.replace(/^wss:\/\//, '')
    this.review()
  }

  get peer(): NodeId {
    return this.#peer!
  }

  send(_: PacketId, packet: Uint8Array): 'sent' | 'full' | 'down' {
    return this.#link?.send(packet) ?? 'down'
  }

  probe(): Promise<void> {
    // Of a link that falls meanwhile nobody waits for a sign of life.
    return new Promise((resolve) => {
      this.#link?.drained().then(resolve, () => undefined)
    })
  }

  /** Where another link has been kept, or who is there was removed. */
  end(): void {
    this.#isLive = false
    this.#hangUp()
  }

  review(): void {
    if (this.#closed || this.#isLive) return
    const isNeeded = this.#peer === undefined || this.#deps.links.to(this.#peer) === undefined
    if (!isNeeded) {
      // The one of two that stays: to end it now, while the other side ends the other, would leave none.
      const isComing = this.#link?.status.state === 'connecting' && this.#isFirst(this.#peer!)
      return isComing ? undefined : this.#hangUp()
    }
    if (this.#link !== undefined || this.#timer !== undefined) return
    const isFirst = this.#failures === 0 && this.sinceMs === 0
    this.#timer = setTimeout(() => this.#open(), isFirst ? 0 : AFTER_OTHERS_MS * this.#deps.dice())
    this.#timer.unref()
  }

  nudge(): void {
    this.#link?.nudge()
  }

  status(): TargetStatus {
    const { state, reason, nextTryAtMs } = this.#link?.status ?? {
      state: 'not needed',
      reason: null,
      nextTryAtMs: null,
    }
    return { ...this.#target, state, reason, nextTryAtMs, peer: this.#peer ?? null }
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    const link = this.#link
    this.#left('RELAY_CLOSED')
    this.#link = undefined
    await link?.close()
  }

  #open(): void {
    this.#timer = undefined
    if (this.#closed || this.#link !== undefined) return
    const { members, mesh, log } = this.#deps
    const { url } = this.#target
    this.#link = openRelayLink({
      // No relay is there: `identify` says who may be.
      address: { url, relay: NO_RELAY, pin: null },
      // The log of the other side knows our login key; no token has to say so.
      login: { mesh, keys: members.login, token: new Uint8Array() },
      mailboxes: () => [],
      generations: { read: () => undefined, write: () => undefined },
      ways: () => WAYS,
      dial,
      identify: this.#identify,
      pace: PACE,
      sodium: members.sodium,
      log,
      onEvent: (event) => this.#heard(event),
    })
  }

  readonly #identify: Identify = ({ relay: id, nonce, generation }, certificateHash) => {
    const { members, links } = this.#deps
    const who = members.byChallenge({ id, nonce }, this.#target.node)
    // Of another mesh, not the one that the address names, or somebody who ends TLS in between.
    if (who === undefined || certificateHash === null) return err('PEER_WRONG_KEY')
    if (!equalBytes(generation, generationOf(certificateHash))) return err('PEER_WRONG_KEY')
    this.#peer = who.node
    // An address that was found may be one more of a machine that has a link.
    return links.to(who.node) === undefined || this.#isFirst(who.node) ? ok(who.loginKey) : err('DUPLICATE_LOGIN')
  }

  #heard(event: LinkEvent): void {
    const { links } = this.#deps
    switch (event.type) {
      case 'live':
        this.#failures = 0
        this.#isLive = true
        this.sinceMs = Date.now()
        return links.arrived(this)
      case 'down':
        this.#left(event.reason)
        this.#failures += 1
        if (this.#target.from === 'mdns' && this.#failures >= FOUND_TRIES_MAX) return this.#forget()
        return this.review()
      case 'answer':
        return links.heard(this, event)
      case 'deliver':
        return links.heard(this, event)
      case 'room':
        return links.heard(this, event)
      // Nobody's own words: a node says none of these to another.
      case 'drained':
      case 'lost':
      case 'notice':
        return
    }
  }

  /** Whether a link that this node dials would be kept beside one that the other has dialled. */
  #isFirst(peer: NodeId): boolean {
    return keeps(this.#deps.node, peer, 'there', 'here') === 'newer'
  }

  #left(reason: FailureCode): void {
    this.#isLive = false
    if (this.#peer !== undefined) this.#deps.links.left(this, reason)
  }

  #hangUp(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const link = this.#link
    this.#link = undefined
    link?.close().catch(() => undefined)
  }

  #forget(): void {
    this.#closed = true
    this.#hangUp()
    this.#giveUp()
  }
}

const NO_RELAY = '' as RelayId
