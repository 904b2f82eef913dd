import { setTimeout as wait } from 'node:timers/promises'
import { Failure } from '@sealmesh/protocol/errors'
import type { MeshId, NodeId, RelayId } from '@sealmesh/protocol/ids'
import type { KeyPair, LoginPublicKey, Secret } from '@sealmesh/protocol/keys'
import type { Status } from '@sealmesh/protocol/ipc/methods'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { parseRelayAddress } from '@sealmesh/protocol/wire/address'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { LogKeeper } from '../membership/log-keeper.ts'
import { TOKEN } from '../setup/identity.ts'
import type { Meta } from '../store/meta.ts'
import { type LinkEvent, openRelayLink, type RelayLink } from './relay-link.ts'

/** The last session of each relay, by relay id: a counter that falls means a wiped or restored relay. */
const Generations = z.record(z.string(), z.object({ generation: z.string(), counter: z.number() }))
const GENERATIONS = 'relay-generations'

/** Dialling and logging in take some 50 ms on a LAN, and a second or two around the world. */
const LIVE_WAIT_MS = 10_000
const LOOK_AGAIN_MS = 50

/** The relays that the membership log names, and the link to the one in use: the first. */
export class Relays {
  readonly #deps: RelaysDeps
  #link: RelayLink | undefined
  #address: string | undefined
  /** When the link went live or down. */
  #changedAtMs: number | null = null
  #state: 'live' | 'down' | undefined
  #generations: z.infer<typeof Generations> = {}
  onEvent: (event: LinkEvent) => void = () => undefined

  constructor(deps: RelaysDeps) {
    this.#deps = deps
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
    const address = mesh.relays[0]?.address
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
    await this.#link?.close()
    this.#link = undefined
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
    const { meta, sodium, log, login, mesh, root, claim } = this.#deps
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
  readonly login: KeyPair<LoginPublicKey, 'login'>
  readonly mesh: MeshId
  readonly root: Secret<'root'> | undefined
  readonly claim: string | undefined
  readonly sodium: Sodium
  readonly log: Logger
}
