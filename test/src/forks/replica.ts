import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import { OwnMailboxes } from '@sealmesh/protocol/envelope/daily-mailboxes'
import { verifyBlock } from '@sealmesh/protocol/crdt/block-codec'
import { Document } from '@sealmesh/protocol/crdt/document'
import { HybridClock } from '@sealmesh/protocol/crdt/hybrid-time'
import { isIncarnationOf, mintIncarnation } from '@sealmesh/protocol/crdt/incarnation'
import { editText } from '@sealmesh/protocol/crdt/text-edit'
import type { Judge } from '@sealmesh/protocol/crdt/verdict'
import { draftBlock, type Intent } from '@sealmesh/protocol/crdt/writer'
import type { IncarnationId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { mayEverWrite } from '@sealmesh/protocol/membership/judge'
import { MembershipLog } from '@sealmesh/protocol/membership/log'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Cut, SignedRecord } from '@sealmesh/protocol/membership/record'
import { PacketPort } from '@sealmesh/node/sync/packet-port'
import type { Machine } from '../membership/scene.ts'
import type { ForkedMesh } from './forked-mesh.ts'

export type Item =
  | { readonly type: 'record'; readonly record: SignedRecord }
  | { readonly type: 'block'; readonly block: Block }

export const LAYERS = ['semantic', 'session'] as const

/** One machine: its own part of the log, its own documents, and what has not reached it yet. */
export class Replica {
  readonly world: ForkedMesh
  readonly machine: Machine
  readonly log: MembershipLog
  readonly port: PacketPort
  /** In whatever order they come. */
  readonly inbox: Item[] = []
  /** What it knew of the log at some time: what a liar says that it knows. */
  readonly heads: (readonly RecordHash[])[] = []
  rebuilt = 0
  readonly #clock = new HybridClock()
  readonly #documents = new Map<string, Document>()
  readonly #stored = new Map<string, Block[]>()
  #waiting: Block[] = []
  #incarnation: IncarnationId
  #judged: { mesh: Mesh; judge: Judge } | undefined

  constructor(world: ForkedMesh, machine: Machine) {
    this.world = world
    this.machine = machine
    this.log = new MembershipLog(world.scene.mesh, world.sodium)
    this.#incarnation = this.#mint()
    this.port = new PacketPort({
      sodium: world.sodium,
      node: machine.id,
      incarnation: this.#incarnation,
      signKey: machine.secret as never,
      mailboxes: new OwnMailboxes(machine.secret as never, world.sodium),
      prekeys: () => [],
      mesh: () => this.mesh,
      random: (bytes) => new Uint8Array(bytes).fill(1),
      now: () => world.nowMs,
    })
  }

  get id(): NodeId {
    return this.machine.id
  }

  get mesh(): Mesh {
    return this.log.mesh
  }

  get judge(): Judge {
    const { mesh } = this
    if (this.#judged?.mesh !== mesh) this.#judged = { mesh, judge: this.world.checks.judge(mesh) }
    return this.#judged.judge
  }

  document(layer: string): Document {
    let document = this.#documents.get(layer)
    if (document === undefined) {
      document = new Document(this.#name(layer), this.world.sodium)
      this.#documents.set(layer, document)
    }
    return document
  }

  stored(layer: string): readonly Block[] {
    return this.#stored.get(layer) ?? []
  }

  take(item: Item): void {
    if (item.type === 'record') this.learn(item.record)
    else this.#receive([item.block])
  }

  learn(record: SignedRecord): void {
    const outcome = this.log.add(record)
    if (outcome !== 'added') return
    this.heads.push(this.mesh.heads)
    for (const [layer, document] of this.#documents)
      if (document.needsRebuild(this.judge, this.world.nowMs)) this.#rebuild(layer)
    this.#receive([])
  }

  /** What it has of these writers: all that it would have receipted. */
  cutsOf(writer: NodeId): Cut[] {
    return LAYERS.flatMap((layer) => {
      const vector = this.document(layer).vector.filter((dot) =>
        isIncarnationOf(dot.incarnation, writer, this.world.sodium),
      )
      return vector.length > 0 ? [{ document: this.#name(layer), vector }] : []
    })
  }

  write(layer: string, what: readonly Intent[] | { text: string }, logHeads: readonly RecordHash[]): Block | undefined {
    const { world, mesh } = this
    const document = this.document(layer)
    let intents = what as readonly Intent[]
    if ('text' in what) {
      // An edit is in the document at once, so nothing edits what its own log would then keep out.
      if (!mayEverWrite(mesh, this.id, document.name)) return undefined
      const { text } = what
      const update = editText(document, this.#incarnation, (doc) => {
        const prose = doc.getText('prose')
        prose.insert(world.dice.pick(prose.length + 1), text)
      })
      if (update === undefined) return undefined
      intents = [{ type: 'text', update }]
    }
    const term = mesh.agents.get(world.agent.id)?.term
    const block = draftBlock(
      document,
      { mesh: mesh.id, node: this.id, incarnation: this.#incarnation, signKey: this.machine.secret as never },
      intents,
      {
        clock: this.#clock,
        nowMs: world.nowMs,
        logHeads,
        term: layer === 'session' && term ? { number: term.number, assign: term.record } : null,
      },
      world.sodium,
    )
    this.#receive([block])
    return block
  }

  /** Until nothing that waits can be taken: a peer is asked for it again whenever something new has come. */
  #receive(fresh: readonly Block[]): void {
    const { world } = this
    let open = [...this.#waiting, ...fresh]
    for (let progress = true; progress; ) {
      progress = false
      const left: Block[] = []
      for (const block of open) {
        const { author, incarnation, document } = block.header
        const { mesh } = this
        const signKey = mesh.nodes.get(author)?.signKey
        const isGood =
          signKey !== undefined &&
          isIncarnationOf(incarnation, author, world.sodium) &&
          verifyBlock(block, signKey, world.sodium) &&
          mayEverWrite(mesh, author, document)
        const outcome = isGood ? this.document(document.layer).receive(block, this.judge, world.nowMs) : undefined
        if (outcome === undefined || outcome.type === 'waiting') {
          left.push(block)
          continue
        }
        progress = true
        for (const arrived of outcome.arrived) {
          this.#clock.observe(arrived.header.time, world.nowMs)
          this.#stored.set(document.layer, [...this.stored(document.layer), arrived])
        }
        if (outcome.rebuild) this.#rebuild(document.layer)
        this.#renewIfAside(document.layer)
      }
      open = left
    }
    this.#waiting = open
  }

  #rebuild(layer: string): void {
    const { world } = this
    this.rebuilt += 1
    this.#documents.set(
      layer,
      Document.rebuild(this.#name(layer), this.stored(layer), this.judge, world.nowMs, world.sodium),
    )
    this.#renewIfAside(layer)
  }

  /** On top of what does not count nothing would count. */
  #renewIfAside(layer: string): void {
    const own = this.#incarnation
    if (
      this.document(layer)
        .aside()
        .some(({ block }) => block.header.incarnation === own)
    )
      this.#incarnation = this.#mint()
  }

  #name(layer: string): DocumentName {
    return { agent: this.world.agent.id, layer }
  }

  #mint(): IncarnationId {
    const salt = Uint8Array.from({ length: 8 }, () => this.world.dice.pick(256))
    return mintIncarnation(this.id, salt, this.world.sodium)
  }
}
