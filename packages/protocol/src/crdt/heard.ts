import {
  type Clock,
  compareDots,
  coversDot,
  type Dot,
  EMPTY_CLOCK,
  entriesOf,
  firstOf,
  type IsAncestor,
} from './clock.ts'
import { entryUnder, type FloorPart } from './floor.ts'

/**
 * What an author has said that it had received, over all blocks of a branch. The part that its first block named by a
 * closed set is shared with all others who name that set: written out, it would be as long as the document has
 * incarnations, once for each of them.
 */
export class Heard {
  readonly #floor: FloorPart | undefined
  /** In the place of what the floor says of the same incarnation. */
  readonly #rest: Dot[]

  constructor(rest: Clock, floor?: FloorPart) {
    this.#rest = [...rest]
    this.#floor = floor
  }

  /** What it takes of its own. */
  get length(): number {
    return this.#rest.length
  }

  copy(): Heard {
    return new Heard(this.#rest, this.#floor)
  }

  covers(dot: Dot, isAncestor: IsAncestor): boolean {
    if (coversDot(this.#rest, dot, isAncestor)) return true
    if (this.#floor === undefined || this.#rest[firstOf(this.#rest, dot.incarnation)]?.incarnation === dot.incarnation)
      return false
    const entry = entryUnder(this.#floor, dot.incarnation)
    return entry !== undefined && isAncestor(dot, entry)
  }

  /** What a later block adds. */
  hear(received: Clock, share: (dot: Dot) => Dot, isAncestor: IsAncestor): void {
    for (const dot of received) this.#join(dot, share, isAncestor)
  }

  /** Those of its entries that are `wanted`; `ofLink` gives these of a link of a closed set. */
  only(wanted: (dot: Dot) => boolean, ofLink: (entries: Clock) => Clock): Clock {
    const written = this.#rest.filter(wanted)
    if (this.#floor === undefined) return written
    const { parts, upTo } = this.#floor
    const counts = ({ incarnation }: Dot): boolean =>
      (upTo === null || incarnation <= upTo) &&
      this.#rest[firstOf(this.#rest, incarnation)]?.incarnation !== incarnation
    const under = parts.flatMap((entries) => ofLink(entries).filter(counts))
    return under.length === 0 ? written : [...written, ...under].sort(compareDots)
  }

  #join(dot: Dot, share: (dot: Dot) => Dot, isAncestor: IsAncestor): void {
    const here = this.#entriesOf(dot.incarnation)
    if (here.some((other) => isAncestor(dot, other))) return
    const first = firstOf(this.#rest, dot.incarnation)
    const written = entriesOf(this.#rest, dot.incarnation).length
    // Nearly always it goes on from the only entry.
    if (written === 1 && isAncestor(here[0]!, dot)) this.#rest[first] = share(dot)
    else {
      const others = here.filter((other) => !isAncestor(other, dot))
      this.#rest.splice(first, written, ...[...others, share(dot)].sort(compareDots))
    }
  }

  #entriesOf(incarnation: Dot['incarnation']): Clock {
    const written = entriesOf(this.#rest, incarnation)
    if (written.length > 0 || this.#floor === undefined) return written
    const entry = entryUnder(this.#floor, incarnation)
    return entry === undefined ? EMPTY_CLOCK : [entry]
  }
}

export const NOTHING_HEARD = new Heard(EMPTY_CLOCK)
