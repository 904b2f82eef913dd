import { fromHex } from '../bytes.ts'
import type { MeshId, NodeId, RecordHash } from '../ids.ts'
import type { Sodium } from '../sodium.ts'
import type { SignedRecord } from './record.ts'
import { nodeIdOf } from './record-codec.ts'

/** A record whose ancestors are all here. */
export interface Entry {
  readonly record: SignedRecord
  /** Order of entering, which is a causal order; never part of any result. */
  readonly position: number
  /** The node that a `found` or `admit` record names. */
  readonly admits: NodeId | undefined
  readonly past: Past
}

/**
 * The strict causal past, as a bitset over positions. Positions below `full` are all in it and have no bits of their
 * own: logs are nearly linear, so that most sets take a few bytes where whole ones would grow with the square.
 */
interface Past {
  readonly full: number
  /** Bits from position `32 * base`; those below `full` mean nothing. */
  readonly base: number
  readonly words: Uint32Array
}

/** Whether the record is signed by this key: asked once for each record that enters. */
export type VerifyRecord = (record: SignedRecord, key: Uint8Array) => boolean

/**
 * The records that stand in the log, in a causal order, with their causal pasts. Only grows. What enters is a
 * function of the set of records alone: a record does when its ancestors have and its signature is good, and whose
 * key that takes follows from its ancestors.
 */
export class Ledger {
  readonly mesh: MeshId
  readonly entries: Entry[] = []
  readonly #sodium: Sodium
  readonly #byHash = new Map<RecordHash, Entry>()
  /** Of each node that any record admits, counting or not: its id binds its key. */
  readonly #admissions = new Map<NodeId, Entry[]>()
  readonly #tips = new Set<RecordHash>()

  constructor(mesh: MeshId, sodium: Sodium) {
    this.mesh = mesh
    this.#sodium = sodium
  }

  get(hash: RecordHash): Entry | undefined {
    return this.#byHash.get(hash)
  }

  /** Records that no other follows. */
  get tips(): Iterable<RecordHash> {
    return this.#tips
  }

  /** All parents must have entered. Undefined when the signature is not good, or can never be checked. */
  enter(record: SignedRecord, verify: VerifyRecord): Entry | undefined {
    const position = this.entries.length
    const parents = record.parents.map((hash) => this.#byHash.get(hash) as Entry)
    const past = pastOf(position, parents)
    const key = this.#keyOf(record, past)
    if (key === undefined || !verify(record, key)) return undefined

    const { body } = record
    const admits =
      body.type === 'found' || body.type === 'admit'
        ? nodeIdOf(body.node.signKey, body.node.foundingAgent.id, this.#sodium)
        : undefined
    const entry: Entry = { record, position, admits, past }
    this.entries.push(entry)
    this.#byHash.set(record.hash, entry)
    if (admits !== undefined) listIn(this.#admissions, admits).push(entry)
    for (const parent of record.parents) this.#tips.delete(parent)
    this.#tips.add(record.hash)
    return entry
  }

  /** Only from the record's own past, so that the answer is the same wherever and whenever it is asked. */
  #keyOf(record: SignedRecord, past: Past): Uint8Array | undefined {
    switch (record.signer.type) {
      case 'root':
        return fromHex(this.mesh)
      case 'agent':
        return fromHex(record.signer.agent)
      case 'node': {
        const admission = this.#admissions.get(record.signer.node)?.find(({ position }) => contains(past, position))
        const body = admission?.record.body
        return body?.type === 'found' || body?.type === 'admit' ? body.node.signKey : undefined
      }
    }
  }
}

/** Whether `ancestor` is in the strict causal past of `entry`. */
export const isBefore = (ancestor: Entry, entry: Entry): boolean => contains(entry.past, ancestor.position)

/**
 * Those of `entries` (in ascending position) that no other of them follows, among those in the strict past of
 * `within` when it is given.
 */
export function latestOf(entries: readonly Entry[], within?: Entry): Entry[] {
  const latest: Entry[] = []
  let settled = 0 // Everything below is in the past of one that we have.
  for (let i = entries.length - 1; i >= 0; i--) {
    const entry = entries[i] as Entry
    if (entry.position < settled) break
    if (within !== undefined && !isBefore(entry, within)) continue
    if (latest.some((later) => isBefore(entry, later))) continue
    latest.push(entry)
    settled = Math.max(settled, entry.past.full)
  }
  return latest
}

export function listIn<K, V>(map: Map<K, V[]>, key: K): V[] {
  const known = map.get(key)
  if (known !== undefined) return known
  const list: V[] = []
  map.set(key, list)
  return list
}

function contains({ full, base, words }: Past, position: number): boolean {
  if (position < full) return true
  const word = words[(position >>> 5) - base]
  return word !== undefined && ((word >>> (position & 31)) & 1) === 1
}

function pastOf(position: number, parents: readonly Entry[]): Past {
  let full = 0
  for (const { past, position: at } of parents) full = Math.max(full, past.full === at ? at + 1 : past.full)
  const base = full >>> 5
  const words = new Uint32Array(Math.max(0, ((position + 31) >>> 5) - base))
  for (const { past, position: at } of parents) {
    for (let i = Math.max(0, base - past.base); i < past.words.length; i++) {
      const word = past.base + i - base
      words[word] = (words[word] as number) | (past.words[i] as number)
    }
    if (at >= full) words[(at >>> 5) - base] = (words[(at >>> 5) - base] as number) | (1 << (at & 31))
  }
  // A merge of branches closes holes: what is whole again needs no bits.
  while (full < position && contains({ full, base, words }, full)) full += 1
  const closed = (full >>> 5) - base
  return closed === 0 ? { full, base, words } : { full, base: base + closed, words: words.slice(closed) }
}
