import {
  AGENT,
  CALM,
  type Content,
  diceFrom,
  id,
  LONG,
  type Mutant,
  type Node,
  type Term,
  TIMING,
} from './lease-model-parts.ts'
import { equalBytes, fromHex } from '@sealmesh/protocol/bytes'
import { placeOf, ripeAtMs, watch } from '@sealmesh/protocol/failover/challenger'
import type { Moment } from '@sealmesh/protocol/failover/elapsed'
import { hasGap } from '@sealmesh/protocol/failover/elapsed'
import type { LeaseBlob } from '@sealmesh/protocol/failover/lease-blob'
import { NO_MEMORY, NodeLease, type Wanted } from '@sealmesh/protocol/failover/node-lease'
import { prefixOf } from '@sealmesh/protocol/failover/prefix'
import { acceptHanded, breakLease, fateOf } from '@sealmesh/protocol/failover/taking'
import { CLOCK_DRIFT, holdsForMs, quietMs } from '@sealmesh/protocol/failover/timing'
import type { IncarnationId, NodeId, RecordHash } from '@sealmesh/protocol/ids'

export interface Outcome {
  readonly violations: string[]
  readonly acts: number
  readonly terms: number
  readonly counts: Record<string, number>
}

/**
 * Nodes, a relay's registers and one agent in virtual time: the cores as they are, and around them the shortest driver
 * that uses them rightly. Faults come from the seed. `mutant` takes one rule away.
 */
export function runModel(seed: number, mutant?: Mutant): Outcome {
  const dice = diceFrom(seed)
  const counts: Record<string, number> = {}
  const count = (what: string): void => void (counts[what] = (counts[what] ?? 0) + 1)
  const violations: string[] = []
  const queue: { atMs: number; order: number; work: () => void }[] = []
  let nowMs = 0
  let order = 0
  const after = (ms: number, work: () => void): void => void queue.push({ atMs: nowMs + ms, order: order++, work })

  const faults = {
    loss: dice() * 0.3,
    delayMs: 5 + dice() * 200,
    crash: dice() < 0.7 ? dice() * 0.02 : 0,
    pause: dice() < 0.6 ? dice() * 0.02 : 0,
    sleep: dice() < 0.5 ? dice() * 0.015 : 0,
    cut: dice() < 0.7 ? dice() * 0.03 : 0,
    relayCrash: dice() < 0.4 ? dice() * 0.02 : 0,
    restore: dice() < 0.5 ? 0.7 : 0,
    /** Standbys whose clocks run wild: the relay's own age is what holds them back. */
    impatient: dice() < 0.2,
    release: dice() < 0.4 ? 0.01 : 0,
    hand: dice() < 0.5 ? 0.02 : 0,
    /** How rarely the log comes through. */
    deaf: dice() < 0.3 ? 0.97 : 0.4,
    tight: dice() < 0.3,
  }
  let healed = false
  const cut = new Set<number>()

  // The relay: what it holds, what its disk holds, and an older copy of that.
  const relay = { up: true, generation: 1, slots: new Map<number, Content>(), disk: new Map<number, Content>() }
  let copy = new Map<number, Content>()
  let hashes = 0
  const hashOf = (): Uint8Array => fromHex((++hashes).toString(16).padStart(16, '0'))
  const relayRate = 1 + (dice() * 2 - 1) * CLOCK_DRIFT
  const put = (slot: number, content: Content): void => {
    relay.slots.set(slot, content)
    if (mutant !== 'witness-unsynced') relay.disk.set(slot, content)
    else after(2_000, () => relay.up && relay.disk.set(slot, content))
  }

  /** What the wait is longer than the holder counts on its lease. */
  const SHORT = mutant === 'no-drift-margin' ? quietMs(TIMING.leaseMs) - holdsForMs(TIMING) : 0

  const nodes: Node[] = []
  const total = 2 + Math.floor(dice() * 2)
  const records = new Map<string, Term>()
  const first: Term = { number: 1, holder: 0, record: id('c1', 1) as RecordHash }
  records.set(first.record, first)

  const moment = (node: Node): Moment => {
    const uptimeMs = node.origin + node.rate * nowMs
    const monotonicMs = node.origin + node.rate * (nowMs - node.sleptMs)
    return { monotonicMs, uptimeMs: mutant === 'monotonic-only' ? monotonicMs : uptimeMs }
  }
  const termOf = (node: Node): Term => {
    let top = first
    for (const term of node.disk.log.values())
      if (term.number > top.number || (term.number === top.number && term.record > top.record)) top = term
    return top
  }

  function start(node: Node): void {
    node.run += 1
    node.up = true
    node.lease = new NodeLease(
      node.name,
      id('1c', node.at * 1000 + node.run).slice(0, 32) as IncarnationId,
      node.disk.memory,
    )
    if (mutant === 'resume-from-disk' && termOf(node).holder === node.at) {
      const { blob } = node.lease.next('renewed', [wantedOf(node)], [], TIMING, moment(node))
      node.lease.answered(blob, moment(node))
    }
    node.watched = new Map()
    node.looked = moment(node)
    node.expected = undefined
    node.busy = false
    node.frozen = false
    node.doubtSinceMs = null
    const { run } = node
    const every = (ms: number, work: () => void): void => {
      const turn = (): void => {
        if (!node.up || node.run !== run) return
        if (nowMs < node.blockedUntilMs) return after(node.blockedUntilMs - nowMs, turn)
        look(node)
        work()
        after((ms / node.rate) * (0.9 + dice() * 0.2), turn)
      }
      after(dice() * ms, turn)
    }
    every(TIMING.renewMs, () => renew(node, 'renewed'))
    every(faults.tight ? 100 : TIMING.retryMs / 2, () => poll(node))
    every(faults.tight ? 50 : 200, () => act(node))
    every(1_000, () => gossip(node))
  }

  const look = (node: Node): void => {
    const now = moment(node)
    if (hasGap(node.looked, now)) node.unsure = true
    node.looked = now
  }

  /** A question to the relay; no answer after the time-out. */
  function ask<T>(node: Node, question: () => T, answered: (answer: T | undefined) => void): void {
    const { run } = node
    let done = false
    const finish = (answer: T | undefined): void => {
      if (!node.up || node.run !== run || done) return
      if (nowMs < node.blockedUntilMs) return after(node.blockedUntilMs - nowMs + dice(), () => finish(answer))
      done = true
      look(node)
      answered(answer)
    }
    after(TIMING.retryMs / node.rate, () => finish(undefined))
    const isLost = (): boolean => cut.has(node.at) || (!healed && dice() < faults.loss)
    const wait = (): number => (faults.tight ? 1 + dice() * 5 : faults.delayMs * (0.2 + dice() * 2))
    if (isLost()) return count('lost')
    after(wait(), () => {
      if (!relay.up) return
      const answer = question()
      if (!isLost()) after(wait(), () => finish(answer))
    })
  }

  const read = (slot: number) => {
    const content = relay.slots.get(slot)
    return { blob: content?.blob ?? null, hash: content?.hash ?? null, generation: String(relay.generation) }
  }
  const set = (slot: number, expected: Uint8Array | null, blob: LeaseBlob, leastAgeMs: number) => {
    const content = relay.slots.get(slot)
    const matches = content === undefined ? expected === null : expected !== null && equalBytes(content.hash, expected)
    if (!matches) return { result: 'differs' as const, ...read(slot) }
    if (content !== undefined && (nowMs - content.sinceMs) * relayRate < leastAgeMs)
      return { result: 'young' as const, ...read(slot) }
    put(slot, { blob, hash: hashOf(), sinceMs: nowMs })
    return { result: 'set' as const, ...read(slot) }
  }

  const witness = (generation: string) => ({
    relays: 'r',
    generation: mutant === 'believes-restored-witness' ? 'same' : generation,
  })

  const wantedOf = (node: Node): Wanted => {
    const term = termOf(node)
    return { agent: AGENT, term: term.number, record: term.record, sync: null, settled: isSettled(node) }
  }
  const isSettled = (node: Node, but?: number): boolean =>
    node.doubtSinceMs !== null &&
    nowMs - node.doubtSinceMs > 7_500 &&
    nodes.every(({ at }) => at === node.at || at === but || node.heardSinceDoubt.has(at))

  const keep = (node: Node): void => {
    node.disk.memory = node.lease.memory
    if (node.lease.isInDoubt && node.doubtSinceMs === null) {
      node.doubtSinceMs = nowMs
      node.watched.clear()
      node.heardSinceDoubt = new Set()
    }
  }

  function hear(node: Node, generation: string): void {
    if (node.lease.heardFrom(witness(generation))) node.doubtSinceMs = null
    keep(node)
  }

  function renew(node: Node, how: 'renewed' | 'released', hand?: number): void {
    if (node.busy) return
    node.busy = true
    const end = (): void => void (node.busy = false)
    const judge = (answer: ReturnType<typeof read>): boolean => {
      hear(node, answer.generation)
      const verdict = node.lease.found(answer.blob, witness(answer.generation), moment(node))
      node.expected = answer.hash
      keep(node)
      // Records of takings that nobody has are waited for; those that are known count.
      node.lease.forgetTaken((taken) =>
        [...node.disk.log.values()].some(
          ({ record, number }) => prefixOf(record) === taken.record || number > taken.term,
        ),
      )
      return verdict !== 'ahead'
    }
    const write = (): void => {
      const mine = termOf(node).holder === node.at
      const handed = hand === undefined ? [] : [{ agent: AGENT, to: nodes[hand]!.name }]
      const before = node.lease.memory
      const { blob } = node.lease.next(how, mine ? [wantedOf(node)] : [], handed, TIMING, moment(node))
      if (mutant !== 'memory-after-write') keep(node)
      else node.disk.memory = before
      if (mutant === 'ignores-taken' && mine && blob.held.length === 0)
        (blob as { held: LeaseBlob['held'] }).held = [
          { agent: prefixOf(AGENT), term: termOf(node).number, record: prefixOf(termOf(node).record), sync: null },
        ]
      const sent = moment(node)
      ask(
        node,
        () => set(node.at, node.expected ?? null, blob, 0),
        (answer) => {
          end()
          if (answer === undefined) {
            node.lease.unanswered()
            node.expected = undefined
            return
          }
          if (answer.result !== 'set') {
            if (judge(answer)) after(1, () => node.up && renew(node, how, hand))
            return
          }
          node.expected = answer.hash
          node.lease.answered(blob, mutant === 'lease-from-response' ? moment(node) : sent)
          node.unsure = false
          if (hand === undefined) node.frozen = false
          if (node.doubtSinceMs !== null && isSettled(node)) {
            node.lease.endDoubt(node.lease.doubt)
            node.doubtSinceMs = null
          }
          keep(node)
          count(how)
        },
      )
    }
    if (node.expected !== undefined) return write()
    ask(
      node,
      () => read(node.at),
      (answer) => {
        if (answer === undefined || !judge(answer)) return end()
        write()
      },
    )
  }

  function poll(node: Node): void {
    const term = termOf(node)
    if (term.holder === node.at) return
    const owner = nodes[term.holder]!
    const before = new Set(node.disk.pending)
    ask(
      node,
      () => read(owner.at),
      (answer) => {
        if (answer === undefined) return
        hear(node, answer.generation)
        const seen = watch(node.watched.get(owner.at), answer, moment(node).monotonicMs)
        node.watched.set(owner.at, seen)
        node.disk.pending = node.disk.pending.filter((draft) => {
          const fate = before.has(draft)
            ? fateOf({ ...draft, term: draft.term.number }, { ...answer, witness: witness(answer.generation) })
            : 'open'
          if (fate === 'taken') adopt(node, draft.term)
          return fate === 'open' && draft.term.number > term.number
        })
        if (node.doubtSinceMs !== null && !isSettled(node, owner.at) && seen.changes === 0) return
        if (termOf(node).record !== term.record || seen.blob === null || seen.hash === null) return
        const take = {
          agent: prefixOf(AGENT),
          term: term.number + 1,
          record: prefixOf(id('c1', records.size + 1)),
          holder: prefixOf(node.name),
          from: term.record,
        }
        const isMine = seen.blob.handed.some(({ to }) => to === prefixOf(node.name))
        const place = placeOf(
          nodes.map(({ name }) => name),
          owner.name,
          node.name,
        )
        const ripeMs = ripeAtMs(seen, TIMING, place) - SHORT
        const earlyMs = ripeMs - moment(node).monotonicMs
        if (!isMine && !faults.impatient && earlyMs > 0) {
          if (earlyMs < TIMING.retryMs / 2)
            after(earlyMs / node.rate, () => node.up && nowMs >= node.blockedUntilMs && poll(node))
          return
        }
        const taking = isMine ? acceptHanded(seen.blob, node.name, take) : breakLease(seen.blob, node.name, [take])
        if (taking === undefined) return
        const draft: Term = { number: take.term, holder: node.at, record: id('c1', records.size + 1) as RecordHash }
        records.set(draft.record, draft)
        node.disk.pending.push({
          term: draft,
          record: draft.record,
          expected: seen.hash,
          witness: witness(answer.generation),
        })
        let leastAgeMs = taking.leastAgeMs
        if (mutant === 'no-min-age') leastAgeMs = 0
        if (mutant === 'no-drift-margin') leastAgeMs = Math.max(0, leastAgeMs - SHORT)
        ask(
          node,
          () => set(owner.at, seen.hash, taking.blob, leastAgeMs),
          (said) => {
            if (said?.result !== 'set') return
            count(isMine ? 'accepted' : 'broken')
            adopt(node, draft)
          },
        )
      },
    )
  }

  const adopt = (node: Node, term: Term): void => {
    node.disk.log.set(term.record, term)
    node.disk.pending = node.disk.pending.filter(({ record }) => record !== term.record)
    after(1, () => node.up && renew(node, 'renewed'))
  }

  let top = 0
  let lastHolder = -1
  let acts = 0
  function act(node: Node): void {
    const now = moment(node)
    const term = termOf(node)
    if (term.holder !== node.at || node.unsure) return
    if (node.frozen && mutant !== 'act-while-handing') return
    if (node.lease.holds(AGENT, now)?.record !== term.record) return
    acts += 1
    if (term.number < top) violations.push(`${Math.round(nowMs)}: ${node.at} acted in ${term.number} after ${top}`)
    if (term.number === top && lastHolder !== node.at) violations.push(`${Math.round(nowMs)}: two acted in ${top}`)
    if (term.number > top) count('terms')
    top = Math.max(top, term.number)
    lastHolder = node.at
    if (!healed && dice() < faults.release) renew(node, 'released')
    else if (!healed && !node.frozen && dice() < faults.hand && !node.busy) {
      node.frozen = true
      count('handing')
      renew(node, 'renewed', nodes.find(({ at }) => at !== node.at)!.at)
    }
  }

  /** Through the relay, so that a node that is cut off learns nothing. */
  function gossip(node: Node): void {
    if (cut.has(node.at) || !relay.up) return
    for (const other of nodes) {
      if (
        other === node ||
        !other.up ||
        cut.has(other.at) ||
        nowMs < other.blockedUntilMs ||
        (!healed && dice() < faults.deaf)
      )
        continue
      for (const term of node.disk.log.values()) other.disk.log.set(term.record, term)
      other.heardSinceDoubt.add(node.at)
    }
  }

  function upset(): void {
    if (healed) return
    for (const node of nodes) {
      if (node.up && dice() < faults.crash) {
        count('crash')
        node.up = false
        after(200 + dice() * 12_000, () => start(node))
      }
      if (dice() < faults.pause) node.blockedUntilMs = nowMs + dice() * 15_000
      if (dice() < faults.sleep && nowMs >= node.blockedUntilMs) {
        const ms = 2_000 + dice() * 20_000
        node.blockedUntilMs = nowMs + ms
        node.sleptMs += ms
        count('sleep')
      }
      if (dice() < faults.cut) {
        if (!cut.delete(node.at)) cut.add(node.at)
      }
    }
    if (dice() < 0.02) copy = new Map(relay.disk)
    if (relay.up && dice() < faults.relayCrash) {
      relay.up = false
      after(dice() * 8_000, () => {
        const restored = dice() < faults.restore
        if (restored) {
          count('restored')
          relay.generation += 1
          relay.disk = new Map(dice() < 0.3 ? [] : copy)
        }
        relay.slots = new Map([...relay.disk].map(([slot, content]) => [slot, { ...content, sinceMs: nowMs }]))
        relay.up = true
      })
    }
    after(250, upset)
  }

  for (let at = 0; at < total; at++) {
    const node: Node = {
      at,
      name: id('0d', at) as NodeId,
      rate: 1 + (faults.tight ? Math.sign(dice() - 0.5) : dice() * 2 - 1) * CLOCK_DRIFT,
      origin: dice() * 1e6,
      sleptMs: 0,
      up: false,
      run: 0,
      blockedUntilMs: 0,
      lease: undefined as unknown as NodeLease,
      disk: { memory: NO_MEMORY, log: new Map([[first.record, first]]), pending: [] },
      watched: new Map(),
      looked: { monotonicMs: 0, uptimeMs: 0 },
      unsure: true,
      expected: undefined,
      busy: false,
      frozen: false,
      doubtSinceMs: null,
      heardSinceDoubt: new Set(),
    }
    nodes.push(node)
    start(node)
  }
  after(100, upset)
  while (queue.length > 0 && nowMs < LONG + CALM) {
    let next = 0
    for (let at = 1; at < queue.length; at++) {
      const [a, b] = [queue[at]!, queue[next]!]
      if (a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)) next = at
    }
    const [event] = queue.splice(next, 1)
    nowMs = Math.max(nowMs, event!.atMs)
    if (!healed && nowMs > LONG) {
      healed = true
      cut.clear()
      relay.up ||= true
      for (const node of nodes) node.blockedUntilMs = Math.min(node.blockedUntilMs, nowMs)
    }
    event!.work()
  }
  const able = nodes.filter((node) => node.up && node.lease.holds(AGENT, moment(node))?.record === termOf(node).record)
  const actors = able.filter((node) => termOf(node).holder === node.at && !node.frozen)
  if (actors.length !== 1)
    violations.push(
      `after healing ${actors.length} may act: ${nodes.map((node) => `${node.at}:${node.up ? termOf(node).number : 'down'}/${termOf(node).holder}`).join(' ')}`,
    )
  return { violations, acts, terms: top, counts }
}
