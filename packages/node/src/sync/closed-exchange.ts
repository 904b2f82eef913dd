import { setImmediate as nextTurn } from 'node:timers/promises'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import { documentIdOf } from '@sealmesh/protocol/crdt/block-codec'
import { type ClosedLink, decodeLink, goesOn, isParentOf } from '@sealmesh/protocol/crdt/closed-set'
import { atMost, expandFloored, NO_FLOORS, overFloor } from '@sealmesh/protocol/crdt/floor'
import { isIncarnationOf } from '@sealmesh/protocol/crdt/incarnation'
import type { ClosedDigest, NodeId } from '@sealmesh/protocol/ids'
import { CLOSED_LINKS_MAX, PAYLOAD_BYTES_BULK } from '@sealmesh/protocol/limits'
import { mayEverWrite } from '@sealmesh/protocol/membership/judge'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { DocumentVector, SyncItem } from '@sealmesh/protocol/sync/payload'
import { keyOf } from '@sealmesh/protocol/sync/peer-sync'
import { mayRead } from '@sealmesh/protocol/sync/recipients'
import type { Logger } from 'pino'
import type { ClosedSets } from '../documents/closed-sets.ts'
import type { DocumentIndex } from '../store/document-index.ts'
import type { SharingPeer } from './sharing.ts'

export interface ClosedExchangeDeps {
  readonly node: NodeId
  readonly sodium: Sodium
  readonly closed: ClosedSets
  readonly index: DocumentIndex
  readonly mesh: () => Mesh
  readonly monotonicMs: () => number
  readonly logger: Pick<Logger, 'warn'>
  /** What waited for a set of this document may be asked for again; false when it has been so a moment ago. */
  readonly kept: (peer: SharingPeer, document: DocumentName) => Promise<boolean>
  /** Sends a packet of these alone; false when too much is on its way to the peer already. */
  readonly send: (peer: SharingPeer, items: readonly SyncItem[]) => boolean
}

/** A set that a peer was asked for, from its last link backwards. */
interface Wanted {
  readonly document: DocumentName
  readonly digest: ClosedDigest
  /** On whose behalf it is kept; null: something that is signed, or lies here, names it. */
  by: NodeId | null
  readonly links: ClosedLink[]
  askedAtMs: number
  /** When a link came last, or it was asked for first. */
  movedAtMs: number
}

/** Sets that one peer is asked for at a time: those that it has named longest. */
const ASKED_MAX = 4
/** Those and the ones that wait for them. What is named beyond that is named again. */
const WANTED_MAX = 64
const NEVER = Number.NEGATIVE_INFINITY
const ASK_AGAIN_MS = 1_000
/** Without being named again: the question or its answer was lost. */
const LOST_AGAIN_MS = 5_000
/** What has not come by then is not to be had there now, and others get its place. */
const GIVE_UP_MS = 20_000
/** What is missing here is asked for so often. */
const MISSING_AGAIN_MS = 10_000
/** Sets that a peer may wait for; honest ones ask for no more at a time, and ask again. */
const QUESTIONS_MAX = ASKED_MAX
/** Of links to one peer in a second: a question is short, and an answer long. Each counts for this much at least. */
const ANSWER_BYTES_PER_TICK = 4 * PAYLOAD_BYTES_BULK
const ANSWER_BYTES_MIN = 4_096
/** Links of one answer: as the payload's limit. */
const LINKS_AT_ONCE = 16
/** One vector of so many entries written out, twice, still fits a packet. */
const VECTOR_ENTRIES_SENT = 1_500
/** Incarnations whose authors are worked out before others get a turn. */
const CHECKS_PER_TURN = 256

/**
 * Shortens what is said to peers by closed sets, expands what they say, and fetches the sets that are not here
 * (docs/spec/08-sync.md §2.1).
 */
export class ClosedExchange {
  readonly #deps: ClosedExchangeDeps
  readonly #wanted = new Map<NodeId, Wanted[]>()
  /** Documents of which a set has come, and that were asked for too short a time before that. */
  readonly #toAsk = new Map<NodeId, Map<string, DocumentName>>()
  /** What peers have asked for, and was not sent yet. */
  readonly #questions = new Map<NodeId, Map<ClosedDigest, DocumentName>>()
  readonly #answering = new Set<NodeId>()
  /** Bytes since the last tick. */
  readonly #answered = new Map<NodeId, number>()
  #missingAtMs = Number.NEGATIVE_INFINITY
  #missingTurn = 0

  constructor(deps: ClosedExchangeDeps) {
    this.#deps = deps
  }

  /** Vectors over closed sets, where the peer may have these; whoever may not read the document is told its own. */
  async shortened(peer: NodeId, items: readonly SyncItem[]): Promise<SyncItem[]> {
    const { closed, mesh } = this.#deps
    return Promise.all(
      items.map(async (item) => {
        if (item.type !== 'vectors') return item
        const documents: DocumentVector[] = []
        for (const { document, vector } of item.documents) {
          const [floors = NO_FLOORS] = mayRead(mesh(), document, peer) ? await closed.floorsFor(document, vector) : []
          const { floor, rest } = atMost(overFloor(vector, floors), vector, floors, VECTOR_ENTRIES_SENT)
          documents.push({ document, vector: rest, ...(floor === null ? {} : { floor }) })
        }
        return { ...item, documents }
      }),
    )
  }

  /** Keeps links that were asked for, and notes what the peer asks for. */
  async take(peer: SharingPeer, items: readonly SyncItem[]): Promise<void> {
    for (const item of items) {
      if (item.type === 'closed') await this.#take(peer, item.document, item.links)
      if (item.type !== 'want-closed') continue
      const asked = this.#questions.get(peer.node) ?? new Map<ClosedDigest, DocumentName>()
      this.#questions.set(peer.node, asked)
      if (asked.size < QUESTIONS_MAX) asked.set(item.digest, item.document)
    }
  }

  /** What one packet said, with whole vectors. Those that stand on sets which are not here are left out. */
  async opened(peer: SharingPeer, items: readonly SyncItem[]): Promise<readonly SyncItem[]> {
    if (!items.some(isFloored)) return items
    const opened: SyncItem[] = []
    for (const item of items)
      opened.push(item.type === 'vectors' ? { ...item, documents: await this.#expanded(peer, item.documents) } : item)
    return opened
  }

  /** Sends what the peer has asked for, as far as there is room for it now. Never throws. */
  answer(peer: SharingPeer): void {
    const asked = this.#questions.get(peer.node)
    if (asked === undefined || asked.size === 0 || this.#answering.has(peer.node)) return
    this.#answering.add(peer.node)
    this.#answerAll(peer, asked)
      .catch((error: unknown) => this.#deps.logger.warn({ err: error }, 'a closed set could not be sent'))
      .finally(() => this.#answering.delete(peer.node))
  }

  /** Asks the peer for a set, once its turn has come; once a second, and for what is missing of it. */
  want(peer: SharingPeer, document: DocumentName, digest: ClosedDigest, by: NodeId | null): void {
    const { mesh, node, monotonicMs } = this.#deps
    if (!mayRead(mesh(), document, node)) return
    const wanted = this.#wanted.get(peer.node) ?? []
    this.#wanted.set(peer.node, wanted)
    const known = wanted.find((other) => other.digest === digest)
    if (known !== undefined) known.by = by === null ? null : known.by
    else if (wanted.length < WANTED_MAX) {
      wanted.push({ document, digest, by, links: [], askedAtMs: NEVER, movedAtMs: monotonicMs() })
    }
    this.#askNext(peer)
  }

  /** Sets that something here stands on and that were damaged: whoever has them may send them, a few at a time. */
  tick(peers: Iterable<SharingPeer>): void {
    const { closed, index, monotonicMs } = this.#deps
    this.#answered.clear()
    const all = [...peers]
    for (const peer of all) {
      this.#giveUp(peer)
      this.#askNext(peer, LOST_AGAIN_MS)
      for (const document of this.#toAsk.get(peer.node)?.values() ?? [])
        this.#kept(peer, document).catch((err: unknown) =>
          this.#deps.logger.warn({ err }, 'a document is not asked for'),
        )
    }
    if (closed.missing.size === 0 || monotonicMs() - this.#missingAtMs < MISSING_AGAIN_MS) return
    this.#missingAtMs = monotonicMs()
    const turn = [...closed.missing]
    const from = this.#missingTurn % turn.length
    this.#missingTurn += ASKED_MAX
    const next = [...turn.slice(from), ...turn.slice(0, from)]
    for (const peer of all) {
      // What the peer itself stands on goes first.
      if ((this.#wanted.get(peer.node)?.length ?? 0) >= ASKED_MAX) continue
      for (const [digest, id] of next.slice(0, ASKED_MAX)) {
        const name = index.get(id)?.name
        if (name === undefined) closed.missNothing(id)
        else this.want(peer, name, digest, null)
      }
    }
  }

  async #kept(peer: SharingPeer, document: DocumentName): Promise<void> {
    const toAsk = this.#toAsk.get(peer.node) ?? new Map<string, DocumentName>()
    this.#toAsk.set(peer.node, toAsk)
    if (await this.#deps.kept(peer, document)) toAsk.delete(keyOf(document))
    else toAsk.set(keyOf(document), document)
  }

  /** Those whose turn it is and that were not asked for lately. */
  #askNext(peer: SharingPeer, apartMs = ASK_AGAIN_MS): void {
    const nowMs = this.#deps.monotonicMs()
    for (const each of (this.#wanted.get(peer.node) ?? []).slice(0, ASKED_MAX)) {
      if (!wasAsked(each)) each.movedAtMs = nowMs
      if (nowMs - each.askedAtMs >= apartMs) this.#ask(peer, each)
    }
  }

  #giveUp(peer: SharingPeer): void {
    const wanted = this.#wanted.get(peer.node) ?? []
    const overMs = this.#deps.monotonicMs() - GIVE_UP_MS
    const left = wanted.filter(({ movedAtMs }, at) => at >= ASKED_MAX || movedAtMs > overMs)
    if (left.length < wanted.length) this.#wanted.set(peer.node, left)
  }

  #ask(peer: SharingPeer, wanted: Wanted): void {
    wanted.askedAtMs = this.#deps.monotonicMs()
    const digest = wanted.links.at(-1)?.parent ?? wanted.digest
    peer.core.say({ type: 'want-closed', document: wanted.document, digest })
  }

  async #expanded(peer: SharingPeer, documents: readonly DocumentVector[]): Promise<DocumentVector[]> {
    const { closed, mesh, node, sodium } = this.#deps
    const expanded: DocumentVector[] = []
    for (const said of documents) {
      const { document, floor, vector: rest } = said
      if (floor === undefined) expanded.push(said)
      // Who may not read it says nothing over a set, and what he names may be 65,536 entries.
      else if (mayRead(mesh(), document, peer.node) && mayRead(mesh(), document, node)) {
        const vector = expandFloored({ floor, rest }, await closed.floorsOf(document))
        if (vector !== undefined) {
          expanded.push({ document, vector })
          closed.said(documentIdOf(document, sodium), floor.digest, peer.node)
        } else this.want(peer, document, floor.digest, peer.node)
      }
    }
    return expanded
  }

  async #answerAll(peer: SharingPeer, asked: Map<ClosedDigest, DocumentName>): Promise<void> {
    for (const [digest, document] of asked) {
      const before = this.#answered.get(peer.node) ?? 0
      if (before >= ANSWER_BYTES_PER_TICK) return
      const mayHave = () => mayRead(this.#deps.mesh(), document, peer.node)
      const links = mayHave() ? await this.#linksFrom(document, digest) : []
      // To whom may read it now. Nothing is awaited from here to the packet.
      const isTheirs = links.length > 0 && mayHave()
      if (isTheirs && !this.#deps.send(peer, [{ type: 'closed', document, links }])) return
      asked.delete(digest)
      const bytes = links.reduce((sum, { length }) => sum + length, ANSWER_BYTES_MIN)
      if (isTheirs) this.#answered.set(peer.node, before + bytes)
    }
  }

  /** The link and those before it, as they fit. */
  async #linksFrom(document: DocumentName, digest: ClosedDigest): Promise<Uint8Array[]> {
    const chain = (await this.#deps.closed.floorsOf(document)).chain(digest)?.reverse() ?? []
    const links: Uint8Array[] = []
    let bytes = 0
    for (const link of chain) {
      bytes += link.bytes.length
      if (bytes > PAYLOAD_BYTES_BULK || links.length === LINKS_AT_ONCE) break
      links.push(link.bytes)
    }
    return links
  }

  async #take(peer: SharingPeer, document: DocumentName, links: readonly Uint8Array[]): Promise<void> {
    const { closed, sodium } = this.#deps
    const all = this.#wanted.get(peer.node) ?? []
    const id = documentIdOf(document, sodium)
    for (const bytes of links) {
      const link = decodeLink(bytes.slice(), sodium)
      if (link === undefined || link.document !== id) return
      const wanted = all.find(
        (each) => wasAsked(each) && keyOf(each.document) === keyOf(document) && isNext(each, link),
      )
      if (wanted === undefined) return
      wanted.links.push(link)
      wanted.movedAtMs = this.#deps.monotonicMs()
      const isWhole = link.parent === null || closed.knows(id, link.parent)
      if (!isWhole) continue
      all.splice(all.indexOf(wanted), 1)
      if (await this.#keep(wanted, id)) await this.#kept(peer, document)
      return this.#askNext(peer)
    }
    for (const each of all) if (keyOf(each.document) === keyOf(document) && each.links.length > 0) this.#ask(peer, each)
  }

  /** A chain that is what it says, of incarnations that can have written here. */
  async #keep({ document, links, by }: Wanted, id: ReturnType<typeof documentIdOf>): Promise<boolean> {
    const { closed, sodium, mesh, logger } = this.#deps
    const last = links.at(-1)
    const before = last?.parent == null ? [] : ((await closed.of(id)).chain(last.parent) ?? [])
    const fresh = links.toReversed()
    if (!goesOn(before, fresh)) return this.#refuse('CLOSED_SET_MALFORMED')
    const authors = [...mesh().nodes.keys()].filter((node) => mayEverWrite(mesh(), node, document))
    let checked = 0
    for (const { incarnation } of fresh.flatMap(({ entries }) => entries)) {
      if (++checked % CHECKS_PER_TURN === 0) await nextTurn()
      if (!authors.some((author) => isIncarnationOf(incarnation, author, sodium)))
        return this.#refuse('CLOSED_SET_NOT_THEIRS')
    }
    if (await closed.take(id, fresh, by)) return true
    logger.warn({ code: 'CLOSED_SETS_TOO_MANY' }, 'a closed set was refused')
    return false
  }

  #refuse(code: string): false {
    this.#deps.logger.warn({ code }, 'a closed set was refused')
    return false
  }
}

const isFloored = (item: SyncItem): boolean =>
  item.type === 'vectors' && item.documents.some(({ floor }) => floor !== undefined)

/** Of the others nothing is taken: what has come of a set is in memory until all of it has. */
const wasAsked = ({ askedAtMs }: Wanted): boolean => askedAtMs !== NEVER

/** The link that was asked for, or the parent of the last one. */
function isNext({ digest, links }: Wanted, link: ClosedLink): boolean {
  const last = links.at(-1)
  if (last === undefined) return link.digest === digest
  return links.length < CLOSED_LINKS_MAX && isParentOf(link, last)
}
