import type { Block, DocumentName } from '@sealmesh/protocol/crdt/block'
import type { Fork } from '@sealmesh/protocol/crdt/chains'
import type { DocumentIndex } from '../store/document-index.ts'
import type { Commit, Documents } from '../documents/documents.ts'

/** Of one document: who signs many pairs is known by a few. */
const SHOWN_MAX = 16
/** A document's forks are read again after so many others were asked for. */
const DOCUMENTS_MAX = 256

/** Two blocks that one node signed for one place, each with its author's signature in it. */
export interface FoundFork extends Fork {
  readonly name: DocumentName
  /** In the order of `sides`. */
  readonly blocks: readonly Block[]
}

export interface ForksDeps {
  readonly documents: Pick<Documents, 'onCommit' | 'stored' | 'openWhole'>
  readonly index: Pick<DocumentIndex, 'entries'>
  readonly onNews: (name: DocumentName, fork: Fork) => void
}

/**
 * What members have signed twice. Both branches are kept and folded (docs/spec/03-blocks.md), so the proof lies in the
 * documents themselves and outlives restarts; here it is only put together, and told when it is new.
 */
export class Forks {
  readonly #deps: ForksDeps
  readonly #told = new Map<string, Set<string>>()
  readonly #found = new Map<string, readonly FoundFork[]>()

  constructor(deps: ForksDeps) {
    this.#deps = deps
    deps.documents.onCommit((commit) => this.#committed(commit))
  }

  async all(): Promise<FoundFork[]> {
    const all: FoundFork[] = []
    for (const [, { name, forked }] of this.#deps.index.entries()) {
      if (forked.length === 0) continue
      const known = this.#found.get(keyOf(name))
      const found = known ?? (await this.#read(name))
      if (known === undefined && this.#found.size < DOCUMENTS_MAX) this.#found.set(keyOf(name), found)
      all.push(...found)
    }
    return all
  }

  /** Nearly always nothing has forked, and nothing is looked at. */
  #committed({ name, document, blocks }: Commit): void {
    const forks = document.forks()
    if (forks.length === 0) return
    this.#found.delete(keyOf(name))
    const written = new Set(blocks.map(({ hash }) => hash))
    const told = this.#told.get(keyOf(name)) ?? new Set()
    this.#told.set(keyOf(name), told)
    for (const fork of forks) {
      const place = `${fork.incarnation}/${fork.sequence}`
      // Of one that was here before nothing has come now.
      if (told.has(place) || !fork.sides.some(({ hash }) => written.has(hash))) continue
      if (told.size < SHOWN_MAX) told.add(place)
      this.#deps.onNews(name, fork)
    }
  }

  async #read(name: DocumentName): Promise<FoundFork[]> {
    const document = await this.#deps.documents.openWhole(name)
    const forks = (document?.forks() ?? []).slice(0, SHOWN_MAX)
    if (forks.length === 0) return []
    const { above } = await this.#deps.documents.stored(name)
    const blocks = new Map(above.map((block) => [block.hash, block]))
    return forks.map((fork) => ({ ...fork, name, blocks: fork.sides.flatMap(({ hash }) => blocks.get(hash) ?? []) }))
  }
}

const keyOf = ({ agent, layer }: DocumentName): string => `${agent}.${layer}`
