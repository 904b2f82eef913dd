import { createHash } from 'node:crypto'
import { Mirror } from '@sealmesh/node/folders/mirror'
import type { BaseChange, BaseEntry, FolderNews } from '@sealmesh/node/folders/ports'
import type { Block } from '@sealmesh/protocol/crdt/block'
import type { Change, Document } from '@sealmesh/protocol/crdt/document'
import type { Intent } from '@sealmesh/protocol/crdt/writer'
import type { Failure } from '@sealmesh/protocol/errors'
import { incarnationId, nodeId, NOW_MS, Replica } from '../crdt/scene.ts'
import { MemoryDisk } from './memory-disk.ts'

/** A replica that says what its blocks change. */
class Listening extends Replica {
  onChanges: (commit: { changes: readonly Change[]; blocks: readonly Block[] }) => void = () => {}

  override receive(...blocks: readonly Block[]): void {
    for (const block of blocks) {
      const outcome = this.document.receive(block, this.judge, this.nowMs)
      for (const { header } of outcome.arrived) this.clock.observe(header.time, this.nowMs)
      this.stored.push(...outcome.arrived)
      if (outcome.rebuild) throw new Error('Nothing in this model asks for a rebuild.')
      this.onChanges({ changes: outcome.changes, blocks: outcome.arrived })
    }
  }
}

/** From one start of a node to its end, which may come in the midst of a round: then nothing of it has any more effect. */
class Life {
  readonly calls = new Map<string, number>()
  stepsLeft = Number.POSITIVE_INFINITY
  over = false

  /** Whatever gives a promise is a step, before and after. */
  ofPort<T extends object>(name: string, port: T): T {
    return new Proxy(port, {
      get: (target, member) => {
        const value: unknown = Reflect.get(target, member)
        if (typeof value !== 'function' || member === 'refusal') return value
        const call = `${name}.${String(member)}`
        return async (...args: unknown[]): Promise<unknown> => {
          this.calls.set(call, (this.calls.get(call) ?? 0) + 1)
          this.#step()
          const answer: unknown = await Reflect.apply(value, target, args)
          this.#step()
          return answer
        }
      },
    })
  }

  #step(): void {
    if (this.stepsLeft-- <= 0) this.over = true
    if (this.over) throw new Error('killed')
  }
}

/** A machine of the simulation: a folder in memory, a document, and the real mirror between them. */
export class Machine {
  readonly disk: MemoryDisk
  readonly replica: Listening
  readonly allowed = new Set<string>()
  readonly news: FolderNews[] = []
  mirror: Mirror
  refusal: Failure | undefined
  #life = new Life()
  dueAtMs = 0
  readonly #clock: { nowMs: number }
  readonly #entries = new Map<string, BaseEntry>()
  readonly #texts = new Map<string, string>()
  #ids = 0

  constructor(number: number, clock: { nowMs: number }) {
    this.#clock = clock
    this.disk = new MemoryDisk(() => NOW_MS + clock.nowMs)
    this.replica = new Listening(nodeId(number), incarnationId(number))
    this.replica.onChanges = (commit) => {
      if (this.mirror.changed(commit)) this.dueAtMs = 0
    }
    this.mirror = this.#start()
  }

  /** The node stops and starts: what it had in memory is gone. */
  restart(): void {
    this.disk.restart()
    this.mirror = this.#start()
    this.dueAtMs = 0
  }

  /** The process is killed before or after one of the next things that its mirror does. */
  dieWithin(steps: number): void {
    this.#life.stepsLeft = steps
  }

  /** How often the mirror called what, since it was asked last. */
  takeCalls(): Record<string, number> {
    const calls = Object.fromEntries(this.#life.calls)
    this.#life.calls.clear()
    return calls
  }

  /** The disk of the node's home is damaged where it remembers what files had. */
  forgetTexts(): void {
    this.#texts.clear()
  }

  /** As a watcher would. */
  touch(path: string): void {
    this.dueAtMs = Math.min(this.dueAtMs, this.mirror.touch(path))
  }

  async round(): Promise<void> {
    this.replica.nowMs = NOW_MS + this.#clock.nowMs
    this.dueAtMs = Number.POSITIVE_INFINITY
    const life = this.#life
    try {
      this.dueAtMs = Math.min(this.dueAtMs, await this.mirror.round())
    } catch (error) {
      if (!life.over) throw error
      this.restart()
    }
  }

  /** What the other has and this has not. */
  pullFrom(other: Machine): void {
    const known = new Set(this.replica.stored.map(({ hash }) => hash))
    this.replica.nowMs = NOW_MS + this.#clock.nowMs
    this.replica.receive(...other.replica.stored.filter(({ hash }) => !known.has(hash)))
  }

  #commit(changes: readonly BaseChange[]): void {
    for (const { key, entry, text } of changes) {
      if (entry === undefined) {
        this.#entries.delete(key)
        this.#texts.delete(key)
      } else {
        this.#entries.set(key, entry)
        if (text !== undefined) this.#texts.set(key, text)
      }
    }
  }

  #start(): Mirror {
    const number = this.replica.node.slice(-2)
    const life = new Life()
    this.#life = life
    return new Mirror(
      {
        disk: life.ofPort('disk', this.disk),
        document: life.ofPort('document', {
          node: this.replica.node,
          open: async () => this.replica.document,
          refusal: () => this.refusal,
          write: async (intents: readonly Intent[]) => {
            for (const intent of intents) this.replica.write(intent)
          },
          edit: async (edit: (doc: Document['yDoc']) => void, changes: readonly BaseChange[]) => {
            this.replica.edit(edit)
            this.#commit(changes)
          },
        }),
        base: life.ofPort('base', {
          text: async (key: string) => this.#texts.get(key),
          commit: async (changes: readonly BaseChange[]) => this.#commit(changes),
        }),
        tell: (news) => void this.news.push(news),
        now: () => NOW_MS + this.#clock.nowMs,
        newId: () => hashOf(`${number} ${this.#ids++}`, 'hex').slice(0, 12),
        hashOf: (content) => {
          life.calls.set('hashes', (life.calls.get('hashes') ?? 0) + 1)
          return hashOf(content, 'base64url')
        },
        allowed: () => this.allowed,
      },
      this.#entries,
    )
  }
}

const hashOf = (content: Uint8Array | string, encoding: 'hex' | 'base64url'): string =>
  createHash('sha256').update(content).digest(encoding)

/** Rounds and exchanges until neither has anything to do. */
export async function untilQuiet(clock: { nowMs: number }, ...machines: readonly Machine[]): Promise<void> {
  for (let turn = 0; turn < 200; turn++) {
    const before = machines.map(({ replica }) => replica.stored.length).join()
    for (const machine of machines) {
      await machine.round()
      for (const other of machines) if (other !== machine) other.pullFrom(machine)
    }
    clock.nowMs += 700
    const after = machines.map(({ replica }) => replica.stored.length).join()
    if (before === after && machines.every(({ mirror }) => mirror.idle)) return
  }
  throw new Error(`not quiet: ${JSON.stringify(machines.map(({ mirror }) => [...mirror.state.later]))}`)
}
