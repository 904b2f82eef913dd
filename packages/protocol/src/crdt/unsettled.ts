import {
  type Clock,
  compareDots,
  coversDot,
  type Dot,
  EMPTY_CLOCK,
  firstOf,
  type IsAncestor,
  joinClocks,
} from './clock.ts'
import type { FloorPart } from './floor.ts'

/** Of a closed set, what was not settled here when it was looked through last: one for all blocks that name the set. */
export interface OpenFloor {
  /** Each one for all sets that have it. */
  links: readonly { readonly open: Clock }[]
}

/** What is open of a floor, but for incarnations that the block itself writes out. */
export interface UnderFloor {
  readonly set: OpenFloor
  readonly upTo: FloorPart['upTo']
  readonly except: Clock
}

const NONE: readonly UnderFloor[] = []

export const isSettled = ({ links }: OpenFloor): boolean => links.every(({ open }) => open.length === 0)

/**
 * What an author had received and we have not settled yet, shared by all writes of its block. Entries leave as we
 * catch up, and then it stays empty: a tombstone that it covered has been met.
 */
export class Unsettled {
  /** What is written out. */
  open: Clock
  /** At most one for each closed set. */
  floors: readonly UnderFloor[]

  constructor(open: Clock, floors: readonly UnderFloor[] = NONE) {
    this.open = open
    this.floors = floors
  }

  get isEmpty(): boolean {
    return this.open.length === 0 && this.floors.every(({ set }) => isSettled(set))
  }

  covers(dot: Dot, isAncestor: IsAncestor): boolean {
    return (
      coversDot(this.open, dot, isAncestor) ||
      this.floors.some(
        (under) =>
          isUnder(under, dot.incarnation) && under.set.links.some(({ open }) => coversDot(open, dot, isAncestor)),
      )
    )
  }

  /** All of it, as a clock. */
  written(): Clock {
    const under = this.floors.flatMap((floor) =>
      floor.set.links.flatMap(({ open }) => open.filter(({ incarnation }) => isUnder(floor, incarnation))),
    )
    return under.length === 0 ? this.open : [...this.open, ...under].sort(compareDots)
  }

  clear(): void {
    this.open = EMPTY_CLOCK
    this.floors = NONE
  }
}

/** What either covers. No list of a closed set is copied. */
export function joinUnsettled(a: Unsettled | undefined, b: Unsettled, isAncestor: IsAncestor): Unsettled {
  if (a === undefined) return b
  return new Unsettled(joinClocks(a.open, b.open, isAncestor), joinFloors(a.floors, b.floors))
}

export function joinFloors(a: readonly UnderFloor[], b: readonly UnderFloor[]): readonly UnderFloor[] {
  if (b.length === 0 || a === b) return a
  if (a.length === 0) return b
  // By the longer one: a write takes over what it displaces, one after another, and that may have named many sets.
  const [few, many] = a.length < b.length ? [a, b] : [b, a]
  const others = new Map(few.map((each) => [each.set, each]))
  const joined = many.map((each) => {
    const other = others.get(each.set)
    others.delete(each.set)
    return other === undefined ? each : joinOfOne(each, other)
  })
  return [...joined, ...others.values()]
}

/** Two beginnings of one set: the longer one, but for what it leaves out and the other does, too. */
function joinOfOne(a: UnderFloor, b: UnderFloor): UnderFloor {
  if (a === b || (a.upTo === b.upTo && a.except === b.except)) return a
  const [long, short] = a.upTo === null || (b.upTo !== null && a.upTo >= b.upTo) ? [a, b] : [b, a]
  return { ...long, except: long.except.filter(({ incarnation }) => !isUnder(short, incarnation)) }
}

const isUnder = ({ upTo, except }: UnderFloor, incarnation: Dot['incarnation']): boolean =>
  (upTo === null || incarnation <= upTo) && except[firstOf(except, incarnation)]?.incarnation !== incarnation
