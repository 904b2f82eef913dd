import { setImmediate as nextTurn } from 'node:timers/promises'
import { PATTERNS_LAYER } from '@sealmesh/agent/patterns/turns'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Document } from '@sealmesh/protocol/crdt/document'
import { Failure } from '@sealmesh/protocol/errors'
import { type AgentId, parseUmr } from '@sealmesh/protocol/ids'
import type { AgentMethodResult } from '@sealmesh/protocol/ipc/agent-methods'
import type { WatchEvent } from '@sealmesh/protocol/ipc/methods'
import type { DoorContext, Handlers } from '../ipc/door.ts'
import type { AcknowledgingContext } from '../service/acknowledging.ts'
import { agentName, DIARY_LAYER, iso, meantPrefix, nodeName, resolveUmr, type Target } from '../service/context.ts'
import { itemHandlers } from '../service/items.ts'
import { textHandlers } from '../service/texts.ts'
import { watchHandlers } from '../service/watch.ts'
import { mayReach } from './core/access.ts'
import { folded, type Match, occurrences, ranked, wordsOf } from './core/matching.ts'

type Item = NonNullable<AgentMethodResult<'memory.get'>['item']>
type Listed = Omit<Item, 'value'>
type Standings = AgentMethodResult<'memory.why'>
type Listing = AgentMethodResult<'memory.ls'>
type Hit = AgentMethodResult<'memory.search'>['hits'][number]

interface Page {
  readonly prefix: string
  readonly after: string
  readonly values: boolean
  readonly limit: number
}

/** Values of one listing: a page that a client holds in memory. */
const LISTED_CHARACTERS_MAX = 4 * 1_048_576
/** A search gives way to everybody else after so many characters. */
const TURN_CHARACTERS = 65_536
/** Of what one agent may read; a search looks at no more, the latest documents by name first. */
const SEARCH_CHARACTERS_MAX = 64 * 1_048_576
/** Candidates kept for the ranking of one search. */
const MATCHES_MAX = 10_000
const SEARCHES_MAX = 4
/** So that nobody has all of them. */
const OWN_SEARCHES_MAX = 2

export interface MemoryContext extends AcknowledgingContext {
  /** Why this node may not act for the agent at this moment; null when it may. */
  readonly fence: (agent: AgentId) => Failure | null
}

/** Memory references: what agents may read and write of the documents here, under their grants. */
export class Memory {
  readonly #context: AcknowledgingContext
  readonly #fence: MemoryContext['fence']
  readonly #items: ReturnType<typeof itemHandlers>
  readonly #texts: Pick<Handlers, 'text.put'>
  readonly #watch: Pick<Handlers, 'watch'>
  /** The last listing of each agent that has one under way. */
  readonly #listing = new Map<AgentId, Promise<unknown>>()
  /** Whose searches are under way. */
  readonly #searching: AgentId[] = []

  constructor(context: MemoryContext) {
    this.#context = context
    this.#fence = context.fence
    this.#items = itemHandlers(context)
    this.#texts = textHandlers(context)
    this.#watch = watchHandlers(context)
  }

  /** Null where there is nothing, or nothing that this agent may read: both look alike. Throws UMR_INVALID. */
  async get(agent: AgentId, umr: string): Promise<Item | null> {
    const target = this.#target(umr)
    if (target === undefined || !this.#mayRead(agent, target.document)) return null
    const { item } = await this.#items.get({ umr: target.text }, NOBODY)
    switch (item?.type) {
      case undefined:
        return null
      case 'register':
        return { umr, type: 'register', value: item.value, at: item.origin.at, nodeName: item.origin.nodeName }
      case 'text':
        return { umr, type: 'text', value: item.text, at: null, nodeName: null }
      case 'diary':
        return { umr, type: 'diary', value: item.content ?? '', at: item.at, nodeName: null }
    }
  }

  /**
   * In the order of their UMRs, behind `after`; with `values` as far as an answer goes. Those of one agent one after
   * another: each holds all items that the agent may read, and takes as long as there are many.
   */
  list(agent: AgentId, page: Page): Promise<Listing> {
    const before = this.#listing.get(agent) ?? Promise.resolve()
    const listed = before.then(() => this.#list(agent, page))
    const ended: Promise<unknown> = listed
      .catch(() => undefined) // Told to whoever asked for that one.
      .then(() => {
        if (this.#listing.get(agent) === ended) this.#listing.delete(agent)
      })
    this.#listing.set(agent, ended)
    return listed
  }

  async #list(agent: AgentId, { prefix, after, values, limit }: Page): Promise<Listing> {
    const meant = this.#meant(prefix)
    const found: { item: Listed; document: Document; key: string }[] = []
    for (const [name, start] of this.#readable(agent, prefix)) {
      const document = await this.#context.documents.openWhole(name)
      if (document === undefined) continue
      for (const item of this.#itemsOf(document, start))
        if (item.umr.startsWith(meant) && item.umr > after)
          found.push({ item, document, key: item.umr.slice(start.length) })
      await nextTurn()
    }
    found.sort((a, b) => (a.item.umr < b.item.umr ? -1 : 1))
    const items: Listing['items'] = []
    let characters = 0
    for (const { item, document, key } of found.slice(0, limit)) {
      // A diary's entries lie in files of their own.
      const value = values && item.type !== 'diary' ? (valueOf(document, key) ?? null) : null
      characters += value?.length ?? 0
      if (characters > LISTED_CHARACTERS_MAX && items.length > 0) break
      items.push({ ...item, value })
    }
    return { items, truncated: items.length < found.length }
  }

  /**
   * Durable here when it resolves. Throws NOT_A_WRITER also where the agent that is named does not exist; NOT_THE_HOLDER
   * or FENCED in the layer of patterns where this node may not act for it.
   */
  async set(agent: AgentId, umr: string, value: string): Promise<{ write: string }> {
    const { text } = this.#writable(agent, umr)
    const { write } = await this.#items.set({ umr: text, value, tags: [] }, NOBODY)
    return { write }
  }

  async putText(agent: AgentId, umr: string, text: string): Promise<{ write: string }> {
    const { write } = await this.#texts['text.put']({ umr: this.#writable(agent, umr).text, text }, NOBODY)
    return { write }
  }

  /** Where other machines stand with an item; nothing for what this agent may not read. */
  async why(agent: AgentId, umr: string, { why }: Pick<Handlers, 'why'>): Promise<Standings> {
    const target = this.#target(umr)
    if (target === undefined || !this.#mayRead(agent, target.document)) return { machines: [] }
    const { layers } = await why({ target: target.text }, NOBODY)
    const machines = layers.flatMap((layer) => layer.machines)
    return { machines: machines.map(({ name, here, has, text }) => ({ nodeName: name, here, has, why: text })) }
  }

  async remove(agent: AgentId, umr: string): Promise<{ write: string }> {
    const { write } = await this.#items.rm({ umr: this.#writable(agent, umr).text }, NOBODY)
    return { write }
  }

  /**
   * Items in which all words occur, best first. Reads documents one after another and lets others go first in between;
   * there is no index that could be out of step or grow. Throws CORE_BUSY while
   * others search, or this agent does already.
   */
  async search(agent: AgentId, query: string, prefix: string, limit: number): Promise<Hit[]> {
    const words = wordsOf(query)
    if (words.length === 0) return []
    const own = this.#searching.filter((each) => each === agent).length
    if (own >= OWN_SEARCHES_MAX) throw new Failure('CORE_BUSY', `An agent has ${OWN_SEARCHES_MAX} searches at a time.`)
    if (this.#searching.length >= SEARCHES_MAX) throw new Failure('CORE_BUSY', 'Others search at this moment.')
    this.#searching.push(agent)
    try {
      return await this.#search(agent, words, prefix, limit)
    } finally {
      this.#searching.splice(this.#searching.indexOf(agent), 1)
    }
  }

  async #search(agent: AgentId, words: readonly string[], prefix: string, limit: number): Promise<Hit[]> {
    const matches: Match<Item>[] = []
    const holding = words.map(() => 0)
    let [items, characters, turn] = [0, 0, 0]
    for (const [name, start] of this.#readable(agent, prefix)) {
      if (characters > SEARCH_CHARACTERS_MAX) break
      const document = await this.#context.documents.openWhole(name)
      if (document === undefined || name.layer === DIARY_LAYER) continue
      for (const item of this.#itemsOf(document, start)) {
        if (!item.umr.startsWith(this.#meant(prefix))) continue
        const value = valueOf(document, item.umr.slice(start.length)) ?? ''
        const text = folded(`${item.umr.slice(start.length)} ${value}`)
        const counts = words.map((word) => occurrences(text, word))
        counts.forEach((count, at) => (holding[at]! += count > 0 ? 1 : 0))
        items += 1
        characters += text.length
        turn += text.length
        if (counts.every((count) => count > 0) && matches.length < MATCHES_MAX)
          matches.push({ item: { ...item, value }, counts, length: text.length })
        if (turn < TURN_CHARACTERS) continue
        turn = 0
        await nextTurn()
      }
    }
    return ranked(matches, { items, holding, characters })
      .slice(0, limit)
      .map(({ item, score }) => ({ ...item, score }))
  }

  /** Tells of what changes below a prefix and may be read at that moment. */
  watch(agent: AgentId, prefix: string, signal: AbortSignal, tell: (event: WatchEvent) => void): void {
    const notify = (event: WatchEvent): void => {
      const target = this.#target(event.umr)
      if (target !== undefined && this.#mayRead(agent, target.document)) tell(event)
    }
    void this.#watch.watch({ prefix }, { notify, signal })
  }

  #writable(agent: AgentId, umr: string): Target {
    const target = this.#target(umr)
    if (target !== undefined && mayReach(this.#context.log.mesh, agent, target.document, 'write')) {
      // What an agent asked for, and who did it, is recorded where it may act, and nowhere beside that.
      const fenced = target.document.layer === PATTERNS_LAYER ? this.#fence(target.document.agent) : null
      if (fenced !== null) throw fenced
      return target
    }
    throw new Failure('NOT_A_WRITER', 'This agent may not write there.', {
      next: 'the owner of the layer: sealmesh share set AGENT LAYER=THIS-AGENT:write',
    })
  }

  /** Undefined where the mesh has no such agent. */
  #target(umr: string): Target | undefined {
    if (parseUmr(umr) === undefined) throw new Failure('UMR_INVALID', 'A UMR has three parts.')
    try {
      return resolveUmr(this.#context, umr)
    } catch (error) {
      if (error instanceof Failure && error.code === 'AGENT_UNKNOWN') return undefined
      throw error
    }
  }

  #mayRead(agent: AgentId, document: DocumentName): boolean {
    // What others say of their diaries is for people to look at, not for other agents.
    if (document.layer === DIARY_LAYER && document.agent !== agent) return false
    return mayReach(this.#context.log.mesh, agent, document, 'read')
  }

  #meant(prefix: string): string {
    return meantPrefix(this.#context, prefix)
  }

  /** Documents below a prefix that may be read, with the beginning of their UMRs. */
  #readable(agent: AgentId, prefix: string): [DocumentName, string][] {
    const { documents, log } = this.#context
    const meant = this.#meant(prefix)
    return documents
      .names()
      .filter((name) => this.#mayRead(agent, name))
      .map((name): [DocumentName, string] => [name, `${agentName(log.mesh, name.agent)}.${name.layer}.`])
      .filter(([, start]) => start.startsWith(meant) || meant.startsWith(start))
      .toSorted(([, a], [, b]) => (a < b ? -1 : 1))
  }

  *#itemsOf(document: Document, start: string): Generator<Listed> {
    const type = document.name.layer === DIARY_LAYER ? 'diary' : 'register'
    for (const key of document.keys()) {
      const entry = document.read(key)
      if (entry?.value === undefined) continue
      const by = nodeName(this.#context.log.mesh, entry.author)
      yield { umr: start + key, type, at: iso(entry.time.wallMs), nodeName: by }
    }
    for (const text of document.textNames()) yield { umr: start + text, type: 'text', at: null, nodeName: null }
  }
}

const valueOf = (document: Document, key: string): string | undefined => document.read(key)?.value ?? document.text(key)

/** The handlers of the owner's door take who is calling; what they are asked here tells nobody anything. */
export const NOBODY: DoorContext = { notify: () => undefined, signal: new AbortController().signal }
