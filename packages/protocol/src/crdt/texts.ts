import * as Y from 'yjs'
import { compareText } from '../bytes.ts'
import type { Block } from './block.ts'
import { clientIdOf } from './block-codec.ts'
import type { IncarnationId } from '../ids.ts'
import { dependantsOf, placeRuns } from './placed-runs.ts'
import { areNeighbours } from './text-places.ts'
import type { TextRun } from './text-run.ts'
import { readTextUpdate, type TextFault, type TextUpdate } from './text-update.ts'

/** Why a text block is set aside, beyond what the log says of it. */
export type TextAside = TextFault | 'DEPENDS_ON_ASIDE' | 'CLIENT_TAKEN' | 'FORKED'

/** What became of a text block. One that waits is reported when it is settled, by whichever block settles it. */
export type TextSettled =
  | { readonly type: 'folded'; readonly block: Block; readonly names: readonly string[] }
  | { readonly type: 'aside'; readonly block: Block; readonly reason: TextAside }

interface Candidate {
  readonly block: Block
  readonly client: number
  readonly update: TextUpdate
  state: 'new' | 'waiting' | 'settled'
}

interface Need {
  readonly client: number
  readonly clock: number
}

/** Text runs below a base that count, and those that do not. */
export interface RestoredTexts {
  readonly runs: TextRun[]
  readonly out: TextRun[]
}

/** An item of Yjs with its content and ids: 209 B were seen for the least of them. */
const STRUCT_WEIGHT = 300

/**
 * The texts of a document in one Y.Doc (03-blocks §8). Yjs never sees an update before everything that it builds on:
 * 1. Nothing is ever pending in Yjs.
 * 2. A block is set aside exactly when something that it builds on is, directly or not, so the text is a function of
 *    the blocks and their verdicts, whatever their order.
 */
export class Texts {
  readonly yDoc: Y.Doc
  /** From this clock on, nothing of the client will be folded. */
  readonly #asideFrom = new Map<number, number>()
  /** Under every client that they wait for, in the order of the clocks that they need of it. */
  readonly #waiting = new Map<number, { readonly candidate: Candidate; readonly clock: number }[]>()
  readonly #owners = new Map<number, IncarnationId>()
  readonly #names = new Map<unknown, string>()

  constructor() {
    this.yDoc = new Y.Doc()
    // Every edit sets the client id of its incarnation; between edits nobody writes.
    this.yDoc.clientID = 0
  }

  /**
   * Whether the incarnation may use its client id. Of two that share one the lesser keeps it, which may come second:
   * then the document has to be rebuilt.
   */
  claim(incarnation: IncarnationId): 'owner' | 'taken' | 'rebuild' {
    const client = clientIdOf(incarnation)
    const owner = this.#owners.get(client)
    if (owner === undefined) this.#owners.set(client, incarnation)
    if (owner === undefined || owner === incarnation) return 'owner'
    return owner < incarnation ? 'taken' : 'rebuild'
  }

  /** Before a rebuild folds anything: then nobody comes second. */
  claimAll(runs: readonly TextRun[], blocks: readonly Block[]): void {
    const writers = new Set(runs.map(({ end }) => end.header.incarnation))
    for (const { header, writes } of blocks) if (writes[0]?.type === 'text') writers.add(header.incarnation)
    for (const incarnation of [...writers].sort(compareText)) this.claim(incarnation)
  }

  /**
   * What is left of the texts below a base, before anything else is folded. Gives runs that are set aside because they
   * build on others that do not count, or undefined when the rest does not fit together: then it is damaged.
   */
  restore({ runs, out }: RestoredTexts): TextRun[] | undefined {
    const dependants = dependantsOf(out, runs)
    for (const { end, from } of [...out, ...dependants]) {
      const { incarnation } = end.header
      // A client id that another incarnation has is not this one's to spoil.
      if (this.claim(incarnation) === 'owner') this.#markAside(clientIdOf(incarnation), from, [])
    }
    const rest = dependants.length === 0 ? runs : runs.filter((run) => !dependants.includes(run))
    return placeRuns(this.yDoc, rest) ? dependants : undefined
  }

  /** `textEnd`: where the author's text blocks before this one end. */
  fold(block: Block, bytes: Uint8Array, textEnd: number): { end: number; settled: TextSettled[] } {
    const client = clientIdOf(block.header.incarnation)
    const update = readTextUpdate(bytes, client, textEnd)
    if (typeof update === 'string') {
      const settled: TextSettled[] = [{ type: 'aside', block, reason: update }]
      this.#setAside(client, textEnd, settled)
      return { end: textEnd, settled }
    }
    const settled: TextSettled[] = []
    this.#try({ block, client, update, state: 'new' }, settled)
    return { end: update.end, settled }
  }

  /** A text block that is not to be folded: whatever builds on it is set aside with it. */
  skip(block: Block, bytes: Uint8Array, textEnd: number): { end: number; settled: TextSettled[] } {
    const client = clientIdOf(block.header.incarnation)
    const update = readTextUpdate(bytes, client, textEnd)
    const settled: TextSettled[] = []
    const end = typeof update === 'string' ? textEnd : update.end
    if (typeof update === 'string' || update.end > update.start) this.#setAside(client, textEnd, settled)
    return { end, settled }
  }

  /** About how many bytes of memory they take. */
  get weight(): number {
    let structs = 0
    for (const all of this.yDoc.store.clients.values()) structs += all.length
    return structs * STRUCT_WEIGHT
  }

  /** Texts with something in them, sorted. */
  names(): string[] {
    const names: string[] = []
    for (const name of this.yDoc.share.keys()) if (this.read(name) !== undefined) names.push(name)
    return names.sort(compareText)
  }

  /** Undefined for a text that was never written, or emptied: Yjs cannot tell these apart. */
  read(name: string): string | undefined {
    if (!this.yDoc.share.has(name)) return undefined
    const text = this.yDoc.getText(name)
    return text.length === 0 ? undefined : text.toString()
  }

  /** Blocks that have not come to anything yet. */
  waiting(): Block[] {
    return [...this.#waiting.values()].flatMap((all) => all.map(({ candidate }) => candidate.block))
  }

  #try(first: Candidate, settled: TextSettled[]): void {
    const queue = [first]
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      if (next.state === 'settled') continue
      const { block, client, update } = next
      const missing = this.#missing(client, update)
      if (missing === 'aside') {
        next.state = 'settled'
        settled.push({ type: 'aside', block, reason: 'DEPENDS_ON_ASIDE' })
        if (update.end > update.start) this.#markAside(client, update.start, queue)
      } else if (missing.length > 0) this.#wait(missing, next)
      else if (this.#isSound(client, update) && this.#apply(block)) {
        next.state = 'settled'
        settled.push({ type: 'folded', block, names: this.#namesIn(client, update) })
        if (update.end > update.start) this.#wake(client, queue)
      } else {
        next.state = 'settled'
        settled.push({ type: 'aside', block, reason: 'BROKEN_TEXT' })
        if (update.end > update.start) this.#markAside(client, update.start, queue)
      }
    }
  }

  #setAside(client: number, from: number, settled: TextSettled[]): void {
    const woken: Candidate[] = []
    this.#markAside(client, from, woken)
    for (const candidate of woken) this.#try(candidate, settled)
  }

  #markAside(client: number, from: number, woken: Candidate[]): void {
    this.#asideFrom.set(client, Math.min(from, this.#asideFrom.get(client) ?? from))
    this.#wake(client, woken)
  }

  /** Under all of its needs, since any of them may turn out to be set aside while others never come. */
  #wait(needs: readonly Need[], candidate: Candidate): void {
    if (candidate.state === 'waiting') return
    candidate.state = 'waiting'
    for (const { client, clock } of needs) {
      const others = this.#waiting.get(client) ?? []
      this.#waiting.set(client, others)
      let at = others.length
      // Nearly always the last: an author's own blocks come in chain order.
      while (at > 0 && others[at - 1]!.clock > clock) at--
      others.splice(at, 0, { candidate, clock })
    }
  }

  /** Takes out those whose need is met, or never will be. */
  #wake(client: number, woken: Candidate[]): void {
    const waiting = this.#waiting.get(client)
    if (waiting === undefined) return
    const there = Y.getState(this.yDoc.store, client)
    const gone = this.#asideFrom.get(client) ?? Number.POSITIVE_INFINITY
    let met = 0
    while (met < waiting.length && waiting[met]!.clock < there) met++
    let hopeless = waiting.length
    while (hopeless > met && waiting[hopeless - 1]!.clock >= gone) hopeless--
    const out = [...waiting.splice(hopeless), ...waiting.splice(0, met)]
    if (waiting.length === 0) this.#waiting.delete(client)
    for (const { candidate } of out) woken.push(candidate)
  }

  /** What has to come first; invariant (2) before all. */
  #missing(own: number, { start, end, needs }: TextUpdate): Need[] | 'aside' {
    // After a block that cannot be read nobody knows which clocks it meant.
    if (end > start && start >= (this.#asideFrom.get(own) ?? Number.POSITIVE_INFINITY)) return 'aside'
    const missing: Need[] = []
    for (const [client, clock] of needs) {
      const asideFrom = this.#asideFrom.get(client)
      if (asideFrom !== undefined && clock >= asideFrom) return 'aside'
      if (Y.getState(this.yDoc.store, client) <= clock) missing.push({ client, clock })
    }
    return missing
  }

  /** An edit of this process is in the text before its block is: it was Yjs that made it. */
  #isSound(client: number, { inserts, end }: TextUpdate): boolean {
    return Y.getState(this.yDoc.store, client) >= end || areNeighbours(inserts, client, this.yDoc)
  }

  #apply(block: Block): boolean {
    const write = block.writes[0]
    if (write?.type !== 'text') return false
    try {
      Y.applyUpdate(this.yDoc, write.update, this)
      return true
    } catch {
      // Nothing that passed the checks is known to get here; if it does, one block is lost, not the node.
      return false
    }
  }

  /** The texts that it changed. */
  #namesIn(author: number, { inserts, deletes }: TextUpdate): string[] {
    const { store } = this.yDoc
    const names = new Set<string>()
    const add = (struct: unknown) => {
      const name = struct instanceof Y.Item ? this.#nameOf(struct.parent) : undefined
      if (name !== undefined) names.add(name)
    }
    for (const { clock } of inserts) add(Y.getItem(store, Y.createID(author, clock)))
    for (const { client, clock, length } of deletes) {
      const structs = store.clients.get(client) ?? []
      if (structs.length === 0) continue
      for (let at = Y.findIndexSS(structs, clock); at < structs.length; at++) {
        const struct = structs[at]!
        if (struct.id.clock >= clock + length) break
        add(struct)
      }
    }
    return [...names]
  }

  #nameOf(type: unknown): string | undefined {
    const known = this.#names.get(type)
    if (known !== undefined) return known
    // `getText` replaces the type that an update made, so look again.
    for (const [name, root] of this.yDoc.share) this.#names.set(root, name)
    return this.#names.get(type)
  }
}
