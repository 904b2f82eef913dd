import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { DocumentId } from '@sealmesh/protocol/ids'
import type { OpenDocument } from './open-document.ts'

/** Kept in memory when idle: at the tens to hundreds of KB of most documents some 50 MB, on a machine with 512. */
const DOCUMENTS_OPEN_MAX = 256
/** All of them together: what such a machine can spare. */
const OPEN_BYTES_MAX = 64 * 1_048_576
/** Whoever works with a document comes back to it within minutes. */
const IDLE_MS = 5 * 60_000

export interface OpenDocumentsDeps {
  readonly now: () => number
  readonly idOf: (name: DocumentName) => DocumentId
  readonly make: (name: DocumentName, id: DocumentId) => OpenDocument
  readonly documentsMax: number | undefined
  readonly bytesMax: number | undefined
}

/**
 * The documents in memory. What is evicted is on disk whole: a document with work in its queue or a batch in flight is
 * not idle, and the one that is about to get work stays, since a second copy beside it would write under the same
 * sequence.
 */
export class OpenDocuments {
  readonly #deps: OpenDocumentsDeps
  /** In the order of their last use. */
  readonly #open = new Map<DocumentId, OpenDocument>()
  /** The last of them: under load it is asked for again and again. */
  #latest: OpenDocument | undefined
  #resting = false

  constructor(deps: OpenDocumentsDeps) {
    this.#deps = deps
  }

  get(id: DocumentId): OpenDocument | undefined {
    return this.#open.get(id)
  }

  all(): OpenDocument[] {
    return [...this.#open.values()]
  }

  /** The one that is to be used in this turn. */
  use(name: DocumentName): OpenDocument {
    const latest = this.#latest
    if (latest?.name.layer === name.layer && latest.name.agent === name.agent) return latest
    const id = this.#deps.idOf(name)
    const document = this.#open.get(id) ?? this.#deps.make(name, id)
    this.#open.delete(id)
    this.#open.set(id, document)
    document.usedAtMs = this.#deps.now()
    this.#latest = document
    this.#evict(document)
    return document
  }

  /** One more is in memory. Soon, not now: whoever has it loaded has yet to read it. */
  loaded(): void {
    if (this.#resting) return
    this.#resting = true
    setImmediate(() => {
      this.#resting = false
      this.rest()
    })
  }

  /** Lets go of what was not used for minutes, and of the longest unused that are too much together. */
  rest(): void {
    this.#latest = undefined // Whoever uses it without a pause is noted again.
    const idleSinceMs = this.#deps.now() - IDLE_MS
    const weights = new Map([...this.#open].map(([id, document]) => [id, document.inMemory?.weight ?? 0]))
    let bytes = [...weights.values()].reduce((sum, weight) => sum + weight, 0)
    for (const [id, document] of this.#open) {
      const tooMuch = bytes > (this.#deps.bytesMax ?? OPEN_BYTES_MAX) && this.#open.size > 1
      if (!document.idle || (!tooMuch && document.usedAtMs > idleSinceMs)) continue
      this.#open.delete(id)
      bytes -= weights.get(id) ?? 0
    }
  }

  #evict(wanted: OpenDocument): void {
    let over = this.#open.size - (this.#deps.documentsMax ?? DOCUMENTS_OPEN_MAX)
    if (over <= 0) return
    for (const [id, document] of this.#open) {
      if (over <= 0) return
      if (document === wanted || !document.idle) continue
      this.#open.delete(id)
      over -= 1
    }
  }
}
