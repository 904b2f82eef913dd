import { isMerged } from '@sealmesh/protocol/crdt/merged'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { AsideBlock, Counts, Document } from '@sealmesh/protocol/crdt/document'
import type { BlockHash } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'

/** What lists and sums say of a document. */
export interface DocumentFacts {
  readonly counts: Counts
  /** Blocks that nobody folds and no write that counts carries over. */
  readonly aside: readonly { readonly block: BlockHash; readonly reason: AsideBlock['reason'] }[]
}

/** More of them are looked up again each time: what is kept of a document is small, whatever it holds. */
const ASIDE_MAX = 64

/**
 * What was last known of documents, so that summing up thousands of them loads each once and not every time: no more
 * stay in memory than a few hundred. Known until the document changes or another mesh judges; not of documents in which
 * blocks are held, since those count by the clock alone.
 */
export class KnownFacts {
  readonly #mesh: () => Mesh
  readonly #open: (name: DocumentName) => Promise<Document | undefined>
  readonly #known = new Map<string, DocumentFacts>()
  #judgedBy: Mesh

  constructor(mesh: () => Mesh, open: (name: DocumentName) => Promise<Document | undefined>) {
    this.#mesh = mesh
    this.#open = open
    this.#judgedBy = mesh()
  }

  /** Undefined when it is damaged. */
  async of(name: DocumentName): Promise<DocumentFacts | undefined> {
    const known = this.#known.get(keyOf(name))
    if (known !== undefined && this.#judgedBy === this.#mesh()) return known
    const document = await this.#open(name)
    if (document === undefined) return undefined
    const open = document.aside().filter(({ block }) => !isMerged(document, block))
    const facts = {
      counts: document.counts(),
      aside: open.map(({ block, reason }) => ({ block: block.hash, reason })),
    }
    const lasts = facts.counts.held === 0 && open.length <= ASIDE_MAX
    // While open documents are judged again, some are as the last mesh had them.
    if (lasts && this.#judgedBy === this.#mesh()) this.#known.set(keyOf(name), facts)
    return facts
  }

  /** It has changed, or may have. */
  forget(name: DocumentName): void {
    this.#known.delete(keyOf(name))
  }

  /** Every open document shows what that mesh says of it. */
  judged(mesh: Mesh): void {
    if (this.#judgedBy !== mesh) this.#known.clear()
    this.#judgedBy = mesh
  }
}

const keyOf = ({ agent, layer }: DocumentName): string => `${agent}.${layer}`
