import {
  decode,
  encode,
  Malformed,
  readByte,
  readId,
  readList,
  writeByte,
  writeId,
  writeList,
} from '@sealmesh/protocol/bytes'
import type { DocumentId, RecordHash } from '@sealmesh/protocol/ids'
import { HASH_BYTES } from '@sealmesh/protocol/keys'
import { afterPrefix, caughtUpKey, documentOfKey, TABLES, tablePrefix } from './keys.ts'
import type { Operation, Store } from './store.ts'

/** How a document here stands to what others have of it. */
export interface Standing {
  /** What came first of it came from others, and it has not been seen to reach what they have. */
  readonly partial: boolean
  /**
   * Until then, too: the database once held more, or this node did not read it for a while. Nobody waited for what it
   * has, so others may have ended what is read here, our own words, too.
   */
  readonly unawaited: boolean
  /** Lapses of this node after which it has been seen to reach what others have. */
  readonly overcome: readonly RecordHash[]
}

/** Lapses of one node: a person says each. */
const OVERCOME_MAX = 4_096

/**
 * Whether this node ever had a document whole (docs/spec/09-bases.md §6). Only of few documents is there anything to
 * say, so all of it is in memory. One that is not named was begun here, or has reached what others have.
 */
export class StandingStore {
  readonly #all: Map<DocumentId, Standing>

  private constructor(all: Map<DocumentId, Standing>) {
    this.#all = all
  }

  /** A damaged entry is left out: what is here then counts as whole, but for lapses. */
  static async load(store: Store): Promise<StandingStore> {
    const all = new Map<DocumentId, Standing>()
    const prefix = tablePrefix(TABLES.caughtUp)
    for await (const { key, value } of store.examine({ from: prefix, to: afterPrefix(prefix) })) {
      const standing = value && decode(value, readStanding)
      if (standing?.ok) all.set(documentOfKey(key), standing.value)
    }
    return new StandingStore(all)
  }

  of(document: DocumentId): Standing {
    return this.#all.get(document) ?? WHOLE
  }

  /** Of which there is something to say. */
  entries(): Iterable<[DocumentId, Standing]> {
    return this.#all
  }

  put(document: DocumentId, standing: Standing): Operation {
    const key = caughtUpKey(document)
    if (!standing.partial && standing.overcome.length === 0) return { type: 'delete', key }
    return { type: 'put', key, value: encode((w) => writeStanding(w, standing)) }
  }

  /** What was put is durable. */
  remember(document: DocumentId, standing: Standing): void {
    this.#all.set(document, standing)
  }
}

const WHOLE: Standing = { partial: false, unawaited: false, overcome: [] }
const PARTIAL = 1
const UNAWAITED = 2

function writeStanding(
  w: Parameters<Parameters<typeof encode>[0]>[0],
  { partial, unawaited, overcome }: Standing,
): void {
  writeByte(w, (partial ? PARTIAL : 0) | (unawaited ? UNAWAITED : 0))
  writeList(w, overcome, (record) => writeId(w, record))
}

function readStanding(r: Parameters<Parameters<typeof decode>[1]>[0]): Standing {
  const bits = readByte(r)
  if (bits > (PARTIAL | UNAWAITED) || bits === UNAWAITED) throw new Malformed()
  const [partial, unawaited] = [(bits & PARTIAL) !== 0, (bits & UNAWAITED) !== 0]
  return { partial, unawaited, overcome: readList(r, OVERCOME_MAX, () => readId<RecordHash>(r, HASH_BYTES)) }
}
