import type { Block, TermRef } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import type { NodeId } from '@sealmesh/protocol/ids'
import { dice } from '@sealmesh/protocol/test-dice'
import { incarnationId, KEYS, NOW_MS, nodeId, Replica, recordId } from './scene.ts'

/**
 * A fake membership log: revocations with their cuts and terms with their bases. `judgeAt(n)` judges by its first n
 * entries, as `judgeWith` does by a real one: a function of block and log alone.
 */
export type LogEntry =
  | { readonly type: 'revoke'; readonly node: NodeId; readonly cut: VersionVector }
  | { readonly type: 'assign'; readonly number: number; readonly basis: VersionVector }

export function judgeAt(log: readonly LogEntry[], known: number): Judge {
  const entries = log.slice(0, known)
  return (block, covers) => {
    const { author, logHeads, term } = block.header
    if (logHeads.some((head) => Number.parseInt(head.slice(2), 16) > known)) return { type: 'unknown' }
    const ends = entries.filter((entry) => entry.type === 'revoke' && entry.node === author)
    if (ends.some((end) => end.type === 'revoke' && !covers(end.cut, block)))
      return { type: 'void', reason: 'BEYOND_CUT' }
    const late = entries.some(
      (entry) => entry.type === 'assign' && term !== null && entry.number > term.number && !covers(entry.basis, block),
    )
    return late && term !== null ? { type: 'late', term: term.number } : { type: 'fold' }
  }
}

export interface History {
  /** Every block that anybody wrote. */
  readonly blocks: readonly Block[]
  readonly log: readonly LogEntry[]
  readonly replicas: readonly Replica[]
}

export interface HistoryOptions {
  readonly texts: boolean
  readonly log: boolean
  readonly forks: boolean
  /** Replicas draw bases at different times, and forget. */
  readonly compacts?: boolean
  /** They name closed incarnations by sets of their own. */
  readonly closes?: boolean
  /** How many of the steps of texts or writes begin another incarnation instead. */
  readonly restarts?: number
}

const TEXTS = ['notes', 'plan']

/** Nodes that write, delete, edit, exchange some of what they have, restart, are copied, removed and taken over from. */
export function history(seed: number, options: HistoryOptions): History {
  const { random, pick, one, shuffled } = dice(seed)
  const log: LogEntry[] = []
  const blocks: Block[] = []
  let incarnations = 0
  let wallMs = NOW_MS
  const replicas = Array.from(
    { length: 2 + pick(3) },
    (_, node) => new Replica(nodeId(node), incarnationId(++incarnations)),
  )
  const skews = new Map(replicas.map((replica) => [replica, pick(60_000) - 30_000]))
  const knows = new Map<Replica, number>()
  const lookAt = (replica: Replica, upTo: number) => {
    const known = Math.max(upTo, knows.get(replica) ?? 0)
    knows.set(replica, known)
    replica.logHeads = [recordId(known)]
    const term = log.slice(0, known).findLast((entry) => entry.type === 'assign')
    replica.term =
      term?.type === 'assign' ? ({ number: term.number, assign: recordId(0) } satisfies TermRef) : FIRST_TERM
    replica.look(judgeAt(log, known), replica.nowMs)
    renewIfAside(replica)
  }
  // What a node does (DESIGN.md §7): on top of what is set aside everything would be set aside.
  const renewIfAside = (replica: Replica) => {
    const own = ({ header }: Block) => header.incarnation === replica.incarnation
    const forked = replica.document.forks().some(({ incarnation }) => incarnation === replica.incarnation)
    if (forked || replica.document.aside().some(({ block }) => own(block)))
      replica.incarnation = incarnationId(++incarnations)
  }
  const write = (replica: Replica) => {
    const seen = random() < 0.2 ? { seen: 'all' as const } : {}
    const keys = shuffled(KEYS).slice(0, 1 + pick(2))
    const value = `${blocks.length}`
    const block = replica.write(
      ...keys.map((key) =>
        random() < 0.3 ? ({ type: 'delete', key, ...seen } as const) : ({ type: 'set', key, value, ...seen } as const),
      ),
    )
    blocks.push(block)
  }
  const edit = (replica: Replica) => {
    const block = replica.edit((doc) => {
      const text = doc.getText(one(TEXTS))
      const at = pick(text.length + 1)
      if (text.length > 0 && random() < 0.35)
        text.delete(Math.min(at, text.length - 1), 1 + pick(Math.max(1, text.length - at)))
      if (random() < 0.8) text.insert(Math.min(at, text.length), `${'abcdefgh'[pick(8)]}${blocks.length} `)
      if (text.length > 2 && random() < 0.1) text.format(0, 2, { bold: true })
    })
    if (block !== undefined) blocks.push(block)
  }
  /** A part of what the other has, which may leave holes between incarnations, never within one for long. */
  const pull = (to: Replica, from: Replica) => {
    const some = random() < 0.5 ? from.stored : from.stored.slice(0, pick(from.stored.length + 1))
    if (random() < 0.5) to.answered()
    to.receive(...(random() < 0.3 ? shuffled(some) : some))
    renewIfAside(to)
  }

  for (const replica of replicas) lookAt(replica, 0)
  for (let steps = 25 + pick(35); steps > 0; steps--) {
    wallMs += pick(2_000)
    const replica = one(replicas)
    replica.nowMs = wallMs + skews.get(replica)!
    if (options.compacts === true && random() < 0.15) {
      // A node fetches the log before it judges, and a receipt names the heads that it was made under.
      lookAt(replica, log.length)
      const keepFromMs = wallMs - pick(30_000)
      const others = replicas.filter((other) => other !== replica).map(({ document }) => document.vector)
      replica.compact(others, ({ header }) => header.time.wallMs > keepFromMs)
      if (options.closes === true && !(random() < 0.3 && replica.standOn(one(replicas).closed.current)))
        replica.close(1)
      if (random() < 0.3) replica.rebuild()
    }
    if (options.restarts !== undefined && random() < options.restarts)
      replica.incarnation = incarnationId(++incarnations)
    const what = random()
    if (what < 0.3) write(replica)
    else if (what < 0.5 && options.texts) edit(replica)
    else if (what < 0.5) write(replica)
    else if (what < 0.85) pull(replica, one(replicas))
    else if (what < 0.87) {
      // What a receipt of every other replica, fresh from the wire, allows.
      const others = replicas.filter((other) => other !== replica).map(({ document }) => document.vector)
      replica.document.stand([], replica.document.forgettable(others))
    } else if (what < 0.9) replica.incarnation = incarnationId(++incarnations)
    else if (what < 0.93 && options.forks && replicas.length < 6) {
      const twin = replica.clone()
      skews.set(twin, pick(60_000) - 30_000)
      knows.set(twin, knows.get(replica)!)
      replicas.push(twin)
    } else if (what < 0.96 && options.log) {
      if (random() < 0.5) {
        const node = one(replicas).node
        log.push({ type: 'revoke', node, cut: replica.document.vector })
      } else {
        const number = 2 + log.filter(({ type }) => type === 'assign').length
        log.push({ type: 'assign', number, basis: replica.document.vector })
      }
      lookAt(replica, log.length)
    } else lookAt(replica, pick(log.length + 1))
  }
  // A node and its copy may write the very same block.
  return { blocks: [...new Map(blocks.map((block) => [block.hash, block])).values()], log, replicas }
}

const FIRST_TERM: TermRef = { number: 1, assign: recordId(0) }
