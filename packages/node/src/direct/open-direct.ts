import type { FailureCode } from '@sealmesh/protocol/errors'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Logger } from 'pino'
import type { Config } from '../config/schema.ts'
import type { KeyStore } from '../keys/key-store.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import type { Relays } from '../uplink/relays.ts'
import { makeCertificate } from './certificate.ts'
import { listenOn, requirePeerAddress } from './core/peer-address.ts'
import { Dialler, type TargetStatus } from './dialler.ts'
import type { DirectLink } from './direct-link.ts'
import { DirectLinks } from './direct-links.ts'
import { Listener } from './listener.ts'
import { Lan } from './lan.ts'
import { Members } from './members.ts'
import { Paths } from './paths.ts'

export interface DirectParts {
  readonly node: NodeId
  readonly keys: Pick<KeyStore, 'login' | 'mailboxes'>
  readonly log: LogKeeper
  readonly relays: Pick<Relays, 'send' | 'isLive'>
  readonly config: () => Pick<Config, 'direct'>
  readonly sodium: Sodium
  readonly random: (bytes: number) => Uint8Array
  readonly now: () => number
  readonly logger: Logger
}

/** Direct links to other machines of the mesh, beside the relays; none unless the config says so. */
export class Direct {
  readonly #parts: DirectParts
  readonly #members: Members | undefined
  readonly #links: DirectLinks
  readonly paths: Paths
  #listener: Listener | undefined
  #dialler: Dialler | undefined
  #lan: Lan | undefined
  /** Why this node does not listen although it is to. */
  #refusal: FailureCode | null = null

  constructor(parts: DirectParts) {
    this.#parts = parts
    const { node, keys, log, relays } = parts
    this.#members = Members.of({ ...parts, ...keys, mesh: () => log.mesh })
    this.#links = new DirectLinks(node)
    this.paths = new Paths({
      relays,
      links: this.#links,
      members: { mailboxOf: (peer) => this.#members?.mailboxOf(peer) },
      monotonicMs: () => performance.now(),
    })
  }

  /** Whether there may be any: then a packet may come twice, by a link and by a relay. */
  get isOn(): boolean {
    const { listen, peers, mdns } = this.#parts.config().direct
    return this.#members !== undefined && (listen !== undefined || peers.length > 0 || mdns)
  }

  /**
   * Once who hears of links is there. Rejects with CONFIG_INVALID. A port that cannot be had stops nothing: `status` says
   * so, and the relays carry everything.
   */
  async start(): Promise<void> {
    const members = this.#members
    if (members === undefined || !this.isOn) return
    const { node, log, logger, config } = this.#parts
    const { listen, peers, mdns } = config().direct
    const links = this.#links
    const dialler = new Dialler({ members, links, node, mesh: log.mesh.id, log: logger, dice: Math.random })
    this.#dialler = dialler
    links.onChange = () => dialler.review()
    const at = listen === undefined ? undefined : listenOn(listen)
    if (at !== undefined) this.#listener = await this.#listen(at, members)
    for (const text of peers) {
      const { url, node: peer } = requirePeerAddress(text)
      if (peer !== node) dialler.add({ url, node: peer, from: 'config' })
    }
    if (mdns) this.#lan = await this.#look(members, dialler)
  }

  /** Before anything else hears of it: who was removed is cut off at once. */
  meshChanged(mesh: Mesh): void {
    this.#links.meshChanged(mesh)
    this.#dialler?.nudge()
  }

  linkTo(node: NodeId): DirectLink | undefined {
    return this.#links.to(node)
  }

  links(): DirectLink[] {
    return this.#links.all()
  }

  targets(): TargetStatus[] {
    return this.#dialler?.status() ?? []
  }

  /** Null where it is not to listen. */
  get listening(): { readonly host: string; readonly port: number | null; readonly reason: FailureCode | null } | null {
    const { listen } = this.#parts.config().direct
    const at = listen === undefined ? undefined : listenOn(listen)
    if (at === undefined || this.#dialler === undefined) return null
    return { host: at.host, port: this.#listener?.port ?? null, reason: this.#refusal }
  }

  async close(): Promise<void> {
    this.paths.close()
    await this.#lan?.close()
    await this.#dialler?.close()
    await this.#listener?.close()
  }

  /** Whether this node looks for others on the LAN. */
  get lan(): 'off' | 'looking' | 'failed' {
    if (this.#lan === undefined) return 'off'
    return this.#lan.failure === null ? 'looking' : 'failed'
  }

  #look(members: Members, dialler: Dialler): Promise<Lan> {
    const { random, now, logger } = this.#parts
    const { listening } = this
    const port = listening?.port ?? null
    return Lan.open({
      members,
      dialler,
      listening: listening === null || port === null ? null : { host: listening.host, port },
      random,
      now,
      monotonicMs: () => performance.now(),
      log: logger,
    })
  }

  async #listen(
    listen: { readonly host: string; readonly port: number },
    members: Members,
  ): Promise<Listener | undefined> {
    const { logger, now } = this.#parts
    const certificate = await makeCertificate(now())
    try {
      const monotonicMs = (): number => performance.now()
      return await Listener.open({ listen, certificate, members, links: this.#links, log: logger, monotonicMs })
    } catch (error) {
      this.#refusal = error instanceof Error && 'code' in error ? (error.code as FailureCode) : 'ADDRESS_UNAVAILABLE'
      logger.warn({ err: error }, 'this node cannot listen for direct links')
      return undefined
    }
  }
}
