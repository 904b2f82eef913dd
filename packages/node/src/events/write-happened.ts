import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Change } from '@sealmesh/protocol/crdt/document'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { agentName, DIARY_LAYER, iso, nodeName } from '../service/context.ts'
import type { Happened } from './feed.ts'

/** A value in an event; longer ones are cut out, and read with `get`. */
const VALUE_CHARACTERS_MAX = 4_096
/** The object, its strings' heads and its place in the feed. */
const OBJECT_BYTES = 200

/** One change of an item. Of every write there is one, so it holds what a reader would need and not a function more. */
export class WriteHappened implements Happened {
  readonly type: 'write'
  readonly agent: string
  readonly layer: string
  readonly count = 1
  readonly bytes: number
  readonly #mesh: Mesh
  readonly #item: string
  readonly #change: Change['type']
  readonly #value: string | null
  readonly #cut: boolean
  readonly #author: NodeId
  readonly #wallMs: number
  readonly #local: boolean

  constructor(mesh: Mesh, name: DocumentName, change: Change, local: boolean) {
    const value = change.type === 'set' && name.layer !== DIARY_LAYER ? change.value : undefined
    const fits = value !== undefined && value.length <= VALUE_CHARACTERS_MAX
    this.type = 'write'
    this.agent = agentName(mesh, name.agent)
    this.layer = name.layer
    this.#mesh = mesh
    this.#item = change.type === 'text' ? change.name : change.key
    this.#change = change.type
    this.#value = fits ? value : null
    this.#cut = value !== undefined && !fits
    this.#author = change.author
    this.#wallMs = change.time.wallMs
    this.#local = local
    this.bytes = OBJECT_BYTES + this.#item.length + (this.#value?.length ?? 0)
  }

  make(): ReturnType<Happened['make']> {
    return {
      at: iso(this.#wallMs),
      umr: `${this.agent}.${this.layer}.${this.#item}`,
      nodeName: nodeName(this.#mesh, this.#author),
      local: this.#local,
      detail: { change: this.#change, value: this.#value, cut: this.#cut },
    }
  }
}
