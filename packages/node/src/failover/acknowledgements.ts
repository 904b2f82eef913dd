import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { Failure } from '@sealmesh/protocol/errors'
import { type Counted, countedFor, type CountedView, type Unreachable } from '@sealmesh/protocol/failover/counted'
import type { LeaseListing } from '@sealmesh/protocol/failover/lease-listing'
import { hasReceipted, type Level, type Reach, reachOf, reaches } from '@sealmesh/protocol/failover/levels'
import type { AgentId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { isSingleWriter, readersOf } from '@sealmesh/protocol/membership/access'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { keyOf } from '@sealmesh/protocol/sync/peer-sync'
import type { MeshSync } from '../sync/mesh-sync.ts'
import type { SyncSets } from './sync-sets.ts'

/** One timer for all that wait. */
const SWEEP_MS = 100
/** Each is some hundred bytes; the door lets a client have 256 requests at a time. */
const WAITS_MAX = 16_384
/** Documents of which it is remembered whose word they need. */
const KNOWN_MAX = 1_024
/** A receipt takes a round trip: only after this long it is doubted that what was delivered lies on a disk. */
const DOUBT_MS = 2_000

export interface AcknowledgementsDeps {
  readonly node: NodeId
  readonly mesh: () => Mesh
  readonly sync: Pick<MeshSync, 'progress' | 'pushAgain'>
  readonly sets: Pick<SyncSets, 'want' | 'wants' | 'joining'>
  readonly lease: LeaseListing
  readonly monotonicMs: () => number
}

/** What has become of a write, or of all that was waited for; it never says more than is known. */
export interface Acknowledged {
  /** Whether what was asked for has come, as far as the agent's durability asks for it. */
  readonly done: boolean
  readonly level: Level
  /** Disks that are known to have it, this one among them. */
  readonly copies: number
  /** Whose word it needs: of the sync set, else readers. */
  readonly members: readonly NodeId[]
  /** Those that have not receipted it. `stored`: the relay has it for them. */
  readonly missing: readonly { readonly node: NodeId; readonly stored: boolean }[]
  /** An available agent that goes on with this disk alone: who has left its set. */
  readonly left: readonly NodeId[]
  readonly waits: 'unnamed' | 'unlisted' | 'behind' | null
  readonly unreachable: Unreachable | null
  readonly waitedMs: number
}

interface Wait {
  readonly name: DocumentName
  readonly target: VersionVector
  readonly wanted: Level
  /** The term that it was written under, where only its holder writes. */
  readonly term: RecordHash | null
  readonly begunAtMs: number
  readonly giveUpAtMs: number
  readonly signal: AbortSignal
  readonly resolve: (outcome: Acknowledged) => void
}

/** Of one document. Writes of one run reach a level in their order: only the first of a queue is looked at. */
interface Waits {
  readonly name: DocumentName
  readonly queues: Map<string, Wait[]>
}

/** Who waits for which level of which write, driven by receipts and by the relay's answers. Costs nothing while nobody does. */
export class Acknowledgements {
  readonly #deps: AcknowledgementsDeps
  readonly #waits = new Map<string, Waits>()
  readonly #known = new Map<string, { readonly view: CountedView; readonly counted: Counted }>()
  #knownIn: Mesh | undefined
  #count = 0
  #timer: NodeJS.Timeout | undefined

  constructor(deps: AcknowledgementsDeps) {
    this.#deps = deps
  }

  /** How many wait. */
  get size(): number {
    return this.#count
  }

  /** Before something is written: throws where the level cannot come, so that nothing is. */
  check({ agent, layer }: DocumentName, wanted: Level): void {
    if (wanted === 'local') return
    if (this.#count >= WAITS_MAX) throw new Failure('CORE_BUSY', 'Too many writes wait for other machines.')
    this.#deps.sets.want(agent)
    const why = this.#unreachable({ agent, layer }, this.#counted({ agent, layer }))
    if (why !== null) throw unreachableFailure(why, wanted)
  }

  /**
   * Resolves when `target`, which is durable here, has reached the level, when it cannot come any more, when the time is
   * over, or in vain when the caller is gone. Never rejects.
   */
  wait(
    name: DocumentName,
    target: VersionVector,
    wanted: Level,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Acknowledged> {
    const begunAtMs = this.#deps.monotonicMs()
    const { term } = this.#deps.mesh().agents.get(name.agent) ?? {}
    return new Promise((resolve) => {
      const wait: Wait = {
        name,
        target,
        wanted,
        term: isSingleWriter(name.layer) ? (term?.record ?? null) : null,
        begunAtMs,
        giveUpAtMs: begunAtMs + timeoutMs,
        signal,
        resolve,
      }
      if (timeoutMs === 0 || this.#isOver(wait, this.#counted(name))) return resolve(this.#outcome(wait))
      this.#queue(wait)
    })
  }

  /** Where it stands now. */
  look(name: DocumentName, target: VersionVector): Acknowledged {
    const nowMs = this.#deps.monotonicMs()
    const rest = { begunAtMs: nowMs, giveUpAtMs: nowMs, signal: NEVER, resolve: () => undefined }
    return this.#outcome({ name, target, wanted: 'replicated', term: null, ...rest })
  }

  /** Somebody relies on what this agent's standbys have. */
  want(agent: AgentId): void {
    this.#deps.sets.want(agent)
  }

  /** Whose word a write of this document needs now. */
  counted(name: DocumentName): Counted {
    return this.#counted(name)
  }

  /** A peer, or the relay for it, has more of these. */
  progressed(documents: readonly DocumentName[]): void {
    if (this.#count === 0) return
    for (const name of documents) {
      const waits = this.#waits.get(keyOf(name))
      if (waits !== undefined) this.#settle(waits)
    }
  }

  /** Another log, another listing: who counts may be others now. */
  changed(): void {
    for (const waits of [...this.#waits.values()]) this.#settle(waits)
  }

  /** Whoever waits is told how far it came. */
  close(): void {
    clearInterval(this.#timer)
    for (const { queues } of this.#waits.values())
      for (const wait of [...queues.values()].flat()) wait.resolve(this.#outcome(wait))
    this.#waits.clear()
    this.#count = 0
  }

  #queue(wait: Wait): void {
    const key = keyOf(wait.name)
    const waits = this.#waits.get(key) ?? { name: wait.name, queues: new Map<string, Wait[]>() }
    this.#waits.set(key, waits)
    // What is no single write keeps to no order: each such wait is a queue of its own.
    const run = wait.target.length === 1 ? wait.target[0]?.incarnation : ++this.#alone
    const lane = `${wait.wanted} ${wait.term ?? ''} ${run}`
    const queue = waits.queues.get(lane)
    if (queue === undefined) waits.queues.set(lane, [wait])
    else queue.push(wait)
    this.#count += 1
    this.#timer ??= setInterval(() => this.#sweep(), SWEEP_MS).unref()
  }
  #alone = 0

  #settle(waits: Waits): void {
    const counted = this.#counted(waits.name)
    for (const [lane, queue] of waits.queues) {
      let settled = 0
      for (const wait of queue) {
        if (!this.#isOver(wait, counted)) break
        settled += 1
        wait.resolve(this.#outcome(wait))
      }
      this.#drop(waits, lane, queue, queue.slice(settled))
    }
  }

  /** Time, callers that are gone, and what no event tells of. */
  #sweep(): void {
    const nowMs = this.#deps.monotonicMs()
    for (const waits of [...this.#waits.values()]) {
      this.#settle(waits)
      let oldestMs = nowMs
      for (const [lane, queue] of waits.queues) {
        const left = queue.filter((wait) => {
          if (wait.wanted === 'relayed') oldestMs = Math.min(oldestMs, wait.begunAtMs)
          if (!wait.signal.aborted && nowMs < wait.giveUpAtMs) return true
          wait.resolve(this.#outcome(wait))
          return false
        })
        this.#drop(waits, lane, queue, left)
      }
      if (nowMs - oldestMs >= DOUBT_MS) this.#doubt(waits.name)
    }
    if (this.#count > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #drop(waits: Waits, lane: string, queue: readonly Wait[], left: Wait[]): void {
    if (left.length === queue.length) return
    this.#count -= queue.length - left.length
    if (left.length > 0) waits.queues.set(lane, left)
    else waits.queues.delete(lane)
    if (waits.queues.size === 0) this.#waits.delete(keyOf(waits.name))
  }

  /** What was delivered to a machine that went away before it said so lies on no disk: it goes to the relay again. */
  #doubt(name: DocumentName): void {
    const counted = this.#counted(name)
    if (counted.type === 'nodes') for (const node of counted.nodes) this.#deps.sync.pushAgain(node, name)
  }

  /** It has come, or never will. */
  #isOver(wait: Wait, counted: Counted): boolean {
    return this.#unreachable(wait.name, counted, wait.term) !== null || this.#isDone(wait, counted)
  }

  #isDone({ name, target, wanted }: Wait, counted: Counted): boolean {
    if (wanted === 'local' || counted.type === 'alone') return true
    return counted.type === 'nodes' && reaches(this.#reach(name, target, counted.nodes).level, wanted)
  }

  #reach(name: DocumentName, target: VersionVector, nodes: readonly NodeId[]): Reach {
    return reachOf(target, nodes, (node) => this.#deps.sync.progress(node, name))
  }

  #outcome(wait: Wait): Acknowledged {
    const { name, target } = wait
    const counted = this.#counted(name)
    const members = counted.type === 'nodes' ? counted.nodes : []
    const reach = this.#reach(name, target, members)
    const unreachable = this.#unreachable(name, counted, wait.term)
    const isAlone = counted.type === 'alone'
    return {
      done: wait.wanted === 'local' || (unreachable === null && this.#isDone(wait, counted)),
      level: unreachable === null ? reach.level : 'local',
      copies: this.#copies(name, target),
      members: counted.type === 'waits' ? counted.nodes : members,
      missing: missingOf(counted, reach),
      left: isAlone ? counted.left : [],
      waits: counted.type === 'waits' ? counted.why : null,
      unreachable,
      waitedMs: Math.round(this.#deps.monotonicMs() - wait.begunAtMs),
    }
  }

  /** `term`: that of a write which only counts while its term lasts and this node holds it. */
  #unreachable({ agent, layer }: DocumentName, counted: Counted, term: RecordHash | null = null): Unreachable | null {
    if (counted.type === 'unreachable') return counted.why
    const mesh = this.#deps.mesh()
    if (isSingleWriter(layer)) {
      if (term !== null && mesh.agents.get(agent)?.term?.record !== term) return 'not-the-holder'
      if (!this.#deps.lease.mayAcknowledge(agent)) return 'fenced'
    }
    return mesh.relays.length === 0 && counted.type !== 'alone' ? 'no-relay' : null
  }

  /** Asked with every write and every receipt: worked out again when something that it stands on is another. */
  #counted(name: DocumentName): Counted {
    const { node: me, lease, sets } = this.#deps
    const { agent } = name
    const mesh = this.#deps.mesh()
    const view = { mesh, me, listed: lease.listedSync(agent), joining: sets.joining(agent), wanted: sets.wants(agent) }
    const known = this.#known.get(keyOf(name))
    if (known !== undefined && isSameView(known.view, view)) return known.counted
    const counted = countedFor(name, view)
    // An old log is kept for nobody's sake.
    if (this.#known.size === KNOWN_MAX || this.#knownIn !== mesh) this.#known.clear()
    this.#knownIn = mesh
    this.#known.set(keyOf(name), { view, counted })
    return counted
  }

  #copies(name: DocumentName, target: VersionVector): number {
    const others = readersOf(this.#deps.mesh(), name.agent, name.layer).filter((node) => node !== this.#deps.node)
    return 1 + others.filter((node) => hasReceipted(this.#deps.sync.progress(node, name), target)).length
  }
}

const isSameView = (a: CountedView, b: CountedView): boolean =>
  a.mesh === b.mesh && a.listed === b.listed && a.wanted === b.wanted && a.joining.join() === b.joining.join()

const NEVER = new AbortController().signal

function missingOf(counted: Counted, { unreceipted, unstored }: Reach): Acknowledged['missing'] {
  if (counted.type === 'waits') return counted.nodes.map((node) => ({ node, stored: false }))
  return unreceipted.map((node) => ({ node, stored: !unstored.includes(node) }))
}

const WHY: Readonly<Record<Unreachable, { readonly text: string; readonly next?: string }>> = {
  'not-shared': { text: 'no other machine may read this layer' },
  'no-standby-reads': { text: 'none of the machines that stand by for this agent may read this layer' },
  nobody: {
    text: 'the agent is strict, and no machine stands by for it',
    next: 'name one, and share a layer with it: sealmesh agents add AGENT --standby NODE',
  },
  'not-the-holder': {
    text: 'another machine holds the agent now, and only its holder writes this layer',
    next: 'sealmesh late ls AGENT',
  },
  fenced: {
    text: 'this machine holds the agent and may not act for it at this moment',
    next: 'sealmesh status says why',
  },
  'no-relay': { text: 'there is no relay that it could go through', next: 'sealmesh up --relay ADDRESS --claim CODE' },
}

/** `written`: it is here, and will not be more. */
export function unreachableFailure(why: Unreachable, wanted: Level, written = false): Failure {
  const { text, next } = WHY[why]
  const here = written ? 'It is written here' : 'Nothing was written'
  return new Failure(
    'LEVEL_UNREACHABLE',
    `It cannot be ${wanted}: ${text}. ${here}.`,
    next === undefined ? {} : { next },
  )
}
