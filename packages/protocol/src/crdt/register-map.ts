import type { BlockHash, IncarnationId, NodeId } from '../ids.ts'
import {
  type Clock,
  coversDot,
  type Dot,
  EMPTY_CLOCK,
  type IsAncestor,
  isAncestorBySequence,
  joinClocks,
} from './clock.ts'
import { type Heard, NOTHING_HEARD } from './heard.ts'
import type { HybridTime } from './hybrid-time.ts'
import { isConflicted, mergeWrite, type Register, StoredWrite, winnerOf, writesOf } from './register.ts'

/** Where a write made here stands: its block's dot and time. */
export interface Place {
  readonly dot: Dot
  readonly author: NodeId
  readonly time: HybridTime
}

/**
 * The registers of one document (03-blocks §7): for each key the writes that no other one replaces. It grows with the
 * keys that live, never with the writes that were made; what it says of itself is counted as writes come.
 */
export class RegisterMap {
  readonly #registers = new Map<string, Register>()
  readonly #isAncestor: IsAncestor
  #live = 0
  #weight = 0
  #conflicted = 0

  constructor(isAncestor: IsAncestor = isAncestorBySequence) {
    this.#isAncestor = isAncestor
  }

  /** Keys in the state, tombstones included. */
  get size(): number {
    return this.#registers.size
  }

  /** Registers whose winner is a value. */
  get live(): number {
    return this.#live
  }

  get conflicted(): number {
    return this.#conflicted
  }

  /** About how many bytes of memory it takes. */
  get weight(): number {
    return this.#weight
  }

  get(key: string): Register | undefined {
    return this.#registers.get(key)
  }

  /** The winner, tombstones included. */
  read(key: string): StoredWrite | undefined {
    const register = this.#registers.get(key)
    return register && winnerOf(register)
  }

  /** All writes that no other one replaces, the winner first. */
  writes(key: string): StoredWrite[] {
    const register = this.#registers.get(key)
    return register === undefined ? [] : writesOf(register)
  }

  entries(): Iterable<[string, Register]> {
    return this.#registers
  }

  /** By key, the tombstones that stand alone and of which this holds. */
  lone(is: (tombstone: StoredWrite, key: string) => boolean): Map<string, BlockHash> {
    const keys = new Map<string, BlockHash>()
    for (const [key, register] of this.#registers)
      if (!Array.isArray(register) && register.value === undefined && is(register, key))
        keys.set(key, register.dot.hash)
    return keys
  }

  /** `heard`: what the write's author had received of others. The register as it is now. */
  merge(key: string, write: StoredWrite, heard: Heard): Register {
    const before = this.#registers.get(key)
    const after = mergeWrite(before, write, heard, this.#isAncestor)
    if (after !== before) {
      this.#registers.set(key, after)
      this.#count(key, before, -1)
      this.#count(key, after, 1)
    }
    return after
  }

  /**
   * A write made here, over the winner and its author's own earlier ones: what `draftBlock` and `receive` do for a
   * block, without the block. `undefined` deletes.
   */
  write(key: string, value: string | undefined, { dot, author, time }: Place): StoredWrite {
    const register = this.#registers.get(key)
    const replaced = register === undefined ? [] : replacedBy(register, author)
    const replaces = clockOver(replaced, dot.incarnation, this.#isAncestor)
    const write = new StoredWrite(dot, author, time, value, replaces, undefined)
    this.merge(key, write, NOTHING_HEARD)
    return write
  }

  /** As it was encoded: nothing is merged. */
  load(key: string, register: Register): void {
    this.#count(key, this.#registers.get(key), -1)
    this.#registers.set(key, register)
    this.#count(key, register, 1)
  }

  forget(key: string): void {
    this.#count(key, this.#registers.get(key), -1)
    this.#registers.delete(key)
  }

  #count(key: string, register: Register | undefined, by: 1 | -1): void {
    if (register === undefined) return
    if (!Array.isArray(register)) this.#weight += by * (key.length + weightOf(register))
    else for (const write of register) this.#weight += by * (key.length + weightOf(write))
    if (winnerOf(register)?.value !== undefined) this.#live += by
    if (isConflicted(register)) this.#conflicted += by
  }
}

/** The objects of a write, its dot with a hash, its time and its place in the map; strings of one byte a character. */
const WRITE_WEIGHT = 400

const weightOf = ({ value }: StoredWrite): number => WRITE_WEIGHT + (value?.length ?? 0)

/** The winner, its author's own, and tombstones; a lone write costs no sorting. */
function replacedBy(register: Register, author: NodeId): readonly StoredWrite[] {
  if (!Array.isArray(register)) return [register]
  return writesOf(register).filter((write, at) => at === 0 || write.author === author || write.value === undefined)
}

/**
 * Closed: with what it replaces a write replaces all that this had replaced. Only entries that the incarnation's own
 * write in the register does not hold already: it goes without saying, and hands over its clock (03-blocks §7). So a
 * writer who overwrites its own value names nothing.
 */
export function clockOver(replaced: readonly StoredWrite[], own: IncarnationId, isAncestor: IsAncestor): Clock {
  const said = replaced.find(({ dot }) => dot.incarnation === own)?.replaces ?? EMPTY_CLOCK
  let clock = EMPTY_CLOCK
  for (const { dot, replaces } of replaced) {
    clock = joinClocks(clock, replaces, isAncestor)
    if (dot.incarnation !== own) clock = joinClocks(clock, [dot], isAncestor)
  }
  if (clock === said) return EMPTY_CLOCK
  const unsaid = clock.filter((dot) => dot.incarnation !== own && !coversDot(said, dot, isAncestor))
  return unsaid.length === 0 ? EMPTY_CLOCK : unsaid
}
