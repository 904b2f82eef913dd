import { type ClosedLink, entriesOfChain } from '@sealmesh/protocol/crdt/closed-set'
import type { Clock, VersionVector } from '@sealmesh/protocol/crdt/clock'
import { besides, type Floors } from '@sealmesh/protocol/crdt/floor'
import type { ClosedDigest } from '@sealmesh/protocol/ids'

/** Sets that are held put together: of a peer or two, and what they have in common. Each may take half a megabyte. */
const TOGETHER_MAX = 4

/** The closed sets of one document, in memory while somebody works with it. */
export class DocumentClosed implements Floors {
  readonly #links = new Map<ClosedDigest, ClosedLink>()
  readonly #parts = new Map<ClosedDigest, readonly Clock[]>()
  /** Put together when they are asked for first; those that were asked for last. */
  readonly #together = new Map<ClosedDigest, VersionVector>()
  #current: ClosedDigest | null = null
  #entries: VersionVector | undefined

  get current(): ClosedDigest | null {
    return this.#current
  }

  entries(digest: ClosedDigest): VersionVector | undefined {
    if (digest === this.#current && this.#entries !== undefined) return this.#entries
    const known = this.#together.get(digest)
    const entries = known ?? this.#putTogether(digest)
    if (entries === undefined) return undefined
    this.#hold(digest, entries)
    return entries
  }

  parts(digest: ClosedDigest): readonly Clock[] | undefined {
    const known = this.#parts.get(digest)
    if (known !== undefined) return known
    const parts = this.chain(digest)?.map(({ entries }) => entries)
    if (parts !== undefined) this.#parts.set(digest, parts)
    return parts
  }

  /** First link first; undefined when one of them is not here. */
  chain(digest: ClosedDigest): ClosedLink[] | undefined {
    const chain: ClosedLink[] = []
    for (let at: ClosedDigest | null = digest; at !== null; ) {
      const link: ClosedLink | undefined = this.#links.get(at)
      if (link === undefined) return undefined
      chain.push(link)
      at = link.parent
    }
    return chain.reverse()
  }

  links(): Iterable<ClosedLink> {
    return this.#links.values()
  }

  add(link: ClosedLink): void {
    this.#links.set(link.digest, link)
  }

  link(digest: ClosedDigest): ClosedLink | undefined {
    return this.#links.get(digest)
  }

  /** One that no other link goes on from. */
  drop(digest: ClosedDigest): void {
    for (const of of [this.#links, this.#parts, this.#together]) of.delete(digest)
  }

  /** The same for what stands on another set. */
  over(digest: ClosedDigest): Floors {
    return { entries: (of) => this.entries(of), parts: (of) => this.parts(of), current: digest }
  }

  lose(digest: ClosedDigest): void {
    this.#links.delete(digest)
    this.#parts.clear()
    this.#together.clear()
    if (this.#current === null || this.chain(this.#current) !== undefined) return
    this.#current = null
    this.#entries = undefined
  }

  stand(digest: ClosedDigest): void {
    const entries = this.entries(digest)
    if (entries === undefined) return
    this.#current = digest
    this.#entries = entries
    this.#together.delete(digest)
  }

  /** Sets of many links differ by the last of them. */
  #putTogether(digest: ClosedDigest): VersionVector | undefined {
    const chain = this.chain(digest)
    const last = chain?.at(-1)
    if (chain === undefined || last === undefined) return undefined
    if (chain.length < 3) return entriesOfChain(chain)
    const parent = chain.at(-2)!.digest
    const before = this.#together.get(parent) ?? entriesOfChain(chain.slice(0, -1))
    if (before !== undefined) this.#hold(parent, before)
    return before && besides(before, last.entries)
  }

  #hold(digest: ClosedDigest, entries: VersionVector): void {
    this.#together.delete(digest)
    this.#together.set(digest, entries)
    for (const oldest of this.#together.keys()) {
      if (this.#together.size <= TOGETHER_MAX) break
      this.#together.delete(oldest)
    }
  }
}
