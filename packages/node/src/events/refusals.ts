import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { NodeId } from '@sealmesh/protocol/ids'
import type { ReceiveReport } from '../documents/documents.ts'

/** A peer may name documents as it likes: the oldest make room. */
const DOCUMENTS_MAX = 1_000

/** What peers have sent in this run that can never count, and that is therefore not here: for `why`. */
export class Refusals {
  readonly #byDocument = new Map<string, Map<NodeId, number>>()
  readonly #bases = new Map<string, string>()

  note(from: NodeId, reports: readonly Pick<ReceiveReport, 'name' | 'refused'>[]): void {
    for (const { name, refused } of reports) {
      if (refused === 0) continue
      const key = keyOf(name)
      const counts = this.#byDocument.get(key) ?? new Map<NodeId, number>()
      counts.set(from, (counts.get(from) ?? 0) + refused)
      this.#byDocument.set(key, counts)
      const [oldest] = this.#byDocument.keys()
      if (this.#byDocument.size > DOCUMENTS_MAX && oldest !== undefined) this.#byDocument.delete(oldest)
    }
  }

  /** A base of a document, whosever it was. */
  noteBase(name: DocumentName, code: string): void {
    this.#bases.delete(keyOf(name))
    this.#bases.set(keyOf(name), code)
    const [oldest] = this.#bases.keys()
    if (this.#bases.size > DOCUMENTS_MAX && oldest !== undefined) this.#bases.delete(oldest)
  }

  /** Why the last one was refused. */
  baseOf(name: DocumentName): string | undefined {
    return this.#bases.get(keyOf(name))
  }

  of(name: DocumentName): { from: NodeId; blocks: number }[] {
    return [...(this.#byDocument.get(keyOf(name)) ?? [])].map(([from, blocks]) => ({ from, blocks }))
  }
}

const keyOf = ({ agent, layer }: DocumentName): string => `${agent}.${layer}`
