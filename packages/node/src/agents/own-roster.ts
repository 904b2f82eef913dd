import type { Intent } from '@sealmesh/protocol/crdt/writer'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import { readersOf, writersOf } from '@sealmesh/protocol/membership/access'
import type { Mesh, MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { Documents } from '../documents/documents.ts'
import type { Step } from '../service/share-plan.ts'
import { HOLDS_KEY, holdsText, ROSTER_LAYER, TOLD_AGENTS_MAX, toldBy, toldText } from './core/roster-entry.ts'
import type { Seat } from './seat.ts'

export interface OwnRosterDeps {
  readonly node: NodeId
  readonly mesh: () => Mesh
  readonly documents: Pick<Documents, 'open' | 'write'>
  readonly seats: () => Iterable<Seat>
  /** Whether every machine of the mesh is told, or those that the owner has granted the layer to. */
  readonly isForAll: () => boolean
  /** How long what is told holds without another word, in milliseconds. */
  readonly lifeMs: () => number
  /** Signs grants of the founding agent. */
  readonly share: (agent: MeshAgent, steps: readonly Step[]) => Promise<void>
  readonly now: () => number
  readonly failed: (error: unknown) => void
}

/** Who comes and goes by the second is worth no block each time. */
const APART_MS = 10_000
/** Programs come back to a node that has started again; whom it told of before is not taken back until they had time to. */
const RETURN_MS = 10_000
/** How soon another word of the config counts. */
const CONFIG_MS = 2_000
/** What comes together is written together. */
const GATHER_MS = 200
/** Machines that are told without being asked for: each is a record of the log. */
const MACHINES_MAX = 64

/** Tells other machines which agents are attached here, as registers of a shared document. */
export class OwnRoster {
  readonly #deps: OwnRosterDeps
  #writing: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #dueAtMs = Number.POSITIVE_INFINITY
  #writtenAtMs = Number.NEGATIVE_INFINITY
  readonly #startedAtMs = performance.now()
  readonly #watching: NodeJS.Timeout
  #closed = false

  constructor(deps: OwnRosterDeps) {
    this.#deps = deps
    let wasForAll = deps.isForAll()
    this.#watching = setInterval(() => {
      if (deps.isForAll() !== wasForAll) this.changed()
      wasForAll = deps.isForAll()
    }, CONFIG_MS)
    this.#watching.unref()
    // Of those that a killed run told of, and that come back no more.
    this.#writeIn(RETURN_MS)
  }

  /** Somebody came, changed or left, or other machines may read it now. */
  changed(): void {
    const sinceMs = performance.now() - this.#writtenAtMs
    this.#writeIn(Math.max(GATHER_MS, APART_MS - sinceMs))
  }

  /** Nobody is attached any more: says so, as far as there is anything to take back. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#watching)
    clearTimeout(this.#timer)
    await this.#writing
    await this.#write([]).catch(this.#deps.failed)
  }

  #writeIn(ms: number): void {
    const dueAtMs = performance.now() + ms
    // What is said without end must not put off its own telling.
    if (this.#closed || this.#dueAtMs <= dueAtMs) return
    clearTimeout(this.#timer)
    this.#dueAtMs = dueAtMs
    this.#timer = setTimeout(() => {
      this.#dueAtMs = Number.POSITIVE_INFINITY
      this.#writing = this.#write([...this.#deps.seats()].filter(({ attached }) => attached))
        .then((againMs) => {
          if (againMs !== undefined) this.#writeIn(againMs)
        })
        .catch((error: unknown) => {
          this.#deps.failed(error)
          this.#writeIn(this.#deps.lifeMs() / 3)
        })
    }, ms)
    this.#timer.unref()
  }

  /** After how long there is something to be said again, in milliseconds. */
  async #write(attached: readonly Seat[]): Promise<number | undefined> {
    const { node, mesh, documents, lifeMs, now } = this.#deps
    const agent = tellingAgent(mesh(), node)
    if (agent === undefined) return undefined
    if (attached.length > 0) await this.#share(agent)
    if (!readersOf(mesh(), agent.id, ROSTER_LAYER).some((reader) => reader !== node)) return undefined
    const name = { agent: agent.id, layer: ROSTER_LAYER }
    const document = await documents.open(name)
    const told = toldBy(node, document)
    const wanted = new Map(attached.slice(0, TOLD_AGENTS_MAX).map((seat) => [seat.id, toldText(seat)]))
    const intents: Intent[] = []
    for (const [id, value] of wanted) {
      const entry = document.read(id)
      if (entry?.author !== node || entry.value !== value) intents.push({ type: 'set', key: id, value })
    }
    const gone = [...told.agents.keys()].filter((id) => !wanted.has(id))
    const returnMs = this.#closed ? 0 : RETURN_MS - (performance.now() - this.#startedAtMs)
    if (returnMs <= 0) for (const id of gone) intents.push({ type: 'delete', key: id })
    const untilMs = now() + lifeMs()
    // Half of what is between two tellings: a timer that is a little early must not skip its turn.
    if (wanted.size > 0 && (intents.length > 0 || untilMs - told.untilMs >= lifeMs() / 6))
      intents.push({ type: 'set', key: HOLDS_KEY, value: holdsText(untilMs) })
    await documents.write(name, intents)
    if (intents.length > 0) this.#writtenAtMs = performance.now()
    if (returnMs > 0 && gone.length > 0) return returnMs
    return wanted.size > 0 ? lifeMs() / 3 : undefined
  }

  async #share(agent: MeshAgent): Promise<void> {
    const { node, mesh, isForAll, share } = this.#deps
    const steps = isForAll() ? stepsToTell(mesh(), node, agent) : []
    if (steps.length > 0) await share(agent, steps)
  }
}

/** Undefined where this machine may not write it (any more). */
function tellingAgent(mesh: Mesh, node: NodeId): MeshAgent | undefined {
  const agent = mesh.agents.get(mesh.nodes.get(node)?.foundingAgent.id ?? ('' as AgentId))
  if (mesh.nodes.size === 1 || agent === undefined) return undefined
  return writersOf(mesh, agent.id, ROSTER_LAYER).includes(node) ? agent : undefined
}

/** As with every default, the owner has the last word: who has ended one of these grants is asked for no other. */
export function stepsToTell(mesh: Mesh, node: NodeId, agent: MeshAgent): Step[] {
  const said = agent.grants.filter(({ layer }) => layer === ROSTER_LAYER)
  if (agent.term?.holder !== node || said.some(({ ended }) => ended !== null)) return []
  const steps: Step[] = []
  for (const other of mesh.nodes.values()) {
    if (other.id === node || other.revocations.length > 0 || said.length + steps.length >= MACHINES_MAX) continue
    if (said.some(({ to }) => to.type === 'node' && to.node === other.id)) continue
    steps.push({ type: 'grant', layer: ROSTER_LAYER, to: { type: 'node', node: other.id }, access: 'read' })
  }
  return steps
}
