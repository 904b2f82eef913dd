import type { RelayId } from '@sealmesh/protocol/ids'
import type { Status } from '@sealmesh/protocol/ipc/methods'
import type { LinkEvent, RelayLink } from './relay-link.ts'

type Way = Pick<Status['relays'][number], 'tls' | 'proxy'>

/** One relay that the log names, and the link to it. */
export class NamedRelay {
  readonly relay: RelayId
  readonly address: string
  readonly link: RelayLink
  /** What waited for this node there has been read. */
  isRead = false
  /** With its last `down` a link fell that was live; else a try to dial it failed. */
  hasFallen = false
  #state: 'live' | 'down' | undefined
  #changedAtMs: number | null = null

  readonly #way: () => Way

  constructor(
    address: string,
    relay: RelayId,
    open: (onEvent: (event: LinkEvent) => void) => RelayLink,
    way: () => Way,
  ) {
    this.#way = way
    this.address = address
    this.relay = relay
    this.link = open((event) => {
      this.#note(event)
      this.onEvent(event)
    })
  }

  /** Set it before the next turn of the loop. */
  onEvent: (event: LinkEvent) => void = () => undefined

  get isLive(): boolean {
    return this.link.status.state === 'live'
  }

  status(): Omit<Status['relays'][number], 'unanswered'> {
    const { state, reason, nextTryAtMs } = this.link.status
    const iso = (atMs: number | null): string | null => (atMs === null ? null : new Date(atMs).toISOString())
    return {
      relay: `relay_${this.relay}`,
      address: this.address,
      state,
      reason,
      nextTryAt: iso(nextTryAtMs),
      since: iso(this.#changedAtMs),
      ...this.#way(),
    }
  }

  #note(event: LinkEvent): void {
    if (event.type === 'drained') this.isRead = true
    if (event.type !== 'live' && event.type !== 'down') return
    this.isRead = false
    this.hasFallen = event.type === 'down' && this.#state === 'live'
    // Every attempt to dial that fails says `down` again.
    if (this.#state !== event.type) this.#changedAtMs = Date.now()
    this.#state = event.type
  }
}
