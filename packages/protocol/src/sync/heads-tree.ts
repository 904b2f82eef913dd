import { compareText, fromHex } from '../bytes.ts'
import { documentIdOf } from '../crdt/block-codec.ts'
import type { DocumentName } from '../crdt/block.ts'
import type { VersionVector } from '../crdt/clock.ts'
import { digestOf } from '../crdt/vector.ts'
import type { DocumentId } from '../ids.ts'
import type { Sodium } from '../sodium.ts'
import { TAGS } from '../tags.ts'

/** First byte of a document's id. Of 10,000 documents some 40 share one, so naming a difference costs 40 vectors. */
export type Bucket = number
export const BUCKETS_MAX = 256

/**
 * What two nodes hold of all that both read, in one hash over at most 256 others (docs/spec/08-sync.md §2). A change
 * of one document hashes its bucket's documents and the bucket's digests again, whatever the number of documents.
 */
export class HeadsTree {
  readonly #sodium: Sodium
  readonly #buckets = new Map<Bucket, Contents>()
  #root: Uint8Array | undefined
  #size = 0

  constructor(sodium: Sodium) {
    this.#sodium = sodium
  }

  get size(): number {
    return this.#size
  }

  /** An empty vector, or none, is a document that is not there: nobody can tell the two apart. */
  set(name: DocumentName, vector: VersionVector | undefined): void {
    const document = documentIdOf(name, this.#sodium)
    const bucket = Number.parseInt(document.slice(0, 2), 16)
    const contents = this.#buckets.get(bucket) ?? { documents: new Map(), digest: undefined }
    const before = contents.documents.get(document)
    if (vector === undefined || vector.length === 0) {
      if (before === undefined) return
      contents.documents.delete(document)
      this.#size -= 1
    } else {
      if (before?.vector === vector) return
      if (before === undefined) this.#size += 1
      contents.documents.set(document, { name, vector, digest: undefined })
    }
    if (contents.documents.size === 0) this.#buckets.delete(bucket)
    else this.#buckets.set(bucket, contents)
    contents.digest = undefined
    this.#root = undefined
  }

  root(): Uint8Array {
    if (this.#root === undefined) {
      const parts: Uint8Array[] = [TAGS.headsRoot]
      for (const { bucket, digest } of this.digests()) parts.push(Uint8Array.of(bucket), digest)
      this.#root = this.#sodium.hash(parts)
    }
    return this.#root
  }

  /** In ascending order; a bucket without documents has none. */
  digests(): { bucket: Bucket; digest: Uint8Array }[] {
    const all = [...this.#buckets].map(([bucket, contents]) => ({ bucket, digest: this.#digestOf(contents) }))
    return all.sort((a, b) => a.bucket - b.bucket)
  }

  /** Documents of ours in buckets that are not the same there. */
  *differing(theirs: readonly { bucket: Bucket; digest: Uint8Array }[]): Iterable<DocumentName> {
    const known = new Map(theirs.map(({ bucket, digest }) => [bucket, digest]))
    for (const [bucket, contents] of this.#buckets) {
      const other = known.get(bucket)
      if (other !== undefined && this.#digestOf(contents).every((byte, at) => byte === other[at])) continue
      for (const { name } of contents.documents.values()) yield name
    }
  }

  #digestOf(contents: Contents): Uint8Array {
    if (contents.digest === undefined) {
      const parts: Uint8Array[] = [TAGS.headsBucket]
      const documents = [...contents.documents].sort(([a], [b]) => compareText(a, b))
      for (const [document, entry] of documents) {
        entry.digest ??= digestOf(entry.vector, this.#sodium)
        parts.push(fromHex(document), entry.digest)
      }
      contents.digest = this.#sodium.hash(parts)
    }
    return contents.digest
  }
}

interface Contents {
  readonly documents: Map<DocumentId, { name: DocumentName; vector: VersionVector; digest: Uint8Array | undefined }>
  digest: Uint8Array | undefined
}
