import type { DocumentId } from '@sealmesh/protocol/ids'

/** Work on a document's base that must not overlap: each waits for what was asked for before it. */
export class OneAtATime {
  readonly #last = new Map<DocumentId, Promise<void>>()

  async run<T>(id: DocumentId, work: () => Promise<T>): Promise<T> {
    const mine = (this.#last.get(id) ?? Promise.resolve()).then(work)
    const settled = mine.then(
      () => undefined,
      () => undefined,
    )
    this.#last.set(id, settled)
    try {
      return await mine
    } finally {
      if (this.#last.get(id) === settled) this.#last.delete(id)
    }
  }
}
