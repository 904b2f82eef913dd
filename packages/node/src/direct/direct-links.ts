import type { FailureCode } from '@sealmesh/protocol/errors'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { keeps } from './core/which-link.ts'
import type { DirectEvent, DirectLink } from './direct-link.ts'

/** The direct links that there are: one to a machine, whoever dialled it. */
export class DirectLinks {
  readonly #me: NodeId
  readonly #links = new Map<NodeId, DirectLink>()

  constructor(me: NodeId) {
    this.#me = me
  }

  onUp: (peer: NodeId) => void = () => undefined
  /** Also when another link to the same machine is about to take its place: what it has not answered has no answer. */
  onDown: (peer: NodeId, reason: FailureCode) => void = () => undefined
  onEvent: (peer: NodeId, event: DirectEvent) => void = () => undefined
  /** A machine has got a link or has lost its last one: whoever dials looks whether he has to. */
  onChange: (peer: NodeId) => void = () => undefined

  get size(): number {
    return this.#links.size
  }

  to(peer: NodeId): DirectLink | undefined {
    return this.#links.get(peer)
  }

  all(): DirectLink[] {
    return [...this.#links.values()]
  }

  /** Both ends know each other. One of two links between the same machines is ended here and now. */
  arrived(link: DirectLink): void {
    const older = this.#links.get(link.peer)
    if (older !== undefined && keeps(this.#me, link.peer, older.dialledBy, link.dialledBy) === 'older')
      return link.end('DUPLICATE_LOGIN')
    this.#links.set(link.peer, link)
    if (older !== undefined) {
      older.end('DUPLICATE_LOGIN')
      this.onDown(link.peer, 'DUPLICATE_LOGIN')
    }
    this.onUp(link.peer)
    this.onChange(link.peer)
  }

  /** Call it as often as you like. */
  left(link: DirectLink, reason: FailureCode): void {
    if (this.#links.get(link.peer) !== link) return
    this.#links.delete(link.peer)
    this.onDown(link.peer, reason)
    this.onChange(link.peer)
  }

  heard(link: DirectLink, event: DirectEvent): void {
    if (this.#links.get(link.peer) === link) this.onEvent(link.peer, event)
    // Of one that has just been replaced: it was sent to us all the same.
    else if (event.type === 'deliver') this.onEvent(link.peer, event)
  }

  /** Who was removed is cut off at once. */
  meshChanged(mesh: Pick<Mesh, 'nodes'>): void {
    for (const link of this.all()) {
      const node = mesh.nodes.get(link.peer)
      if (node !== undefined && node.revocations.length === 0) continue
      link.end('NODE_REVOKED')
      this.left(link, 'NODE_REVOKED')
    }
  }
}
