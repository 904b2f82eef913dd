import {
  decode,
  encode,
  readList,
  readText,
  readUint,
  utf8,
  writeList,
  writeText,
  writeUint,
} from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { type AgentId, isItemId } from '@sealmesh/protocol/ids'
import { afterPrefix, describeKey, diaryKey, diaryPrefix, entryOfDiaryKey } from '../store/keys.ts'
import { openSoundStore, type SoundStore } from '../store/open-store.ts'
import type { Store } from '../store/store.ts'

/** What one entry may hold: a long day's notes. */
export const DIARY_CONTENT_BYTES_MAX = 1_048_576
export const DIARY_TAGS_MAX = 32
export const DIARY_TAG_BYTES_MAX = 64

/** All that the rest of the node learns of an entry. */
export interface DiaryMetadata {
  readonly id: string
  readonly atMs: number
  /** Unicode characters of the content. */
  readonly characters: number
  /** Chosen by the agent, and shared as metadata: not for secrets. */
  readonly tags: readonly string[]
}

export interface DiaryEntry extends DiaryMetadata {
  readonly content: string
}

/**
 * Diary content, in a database of its own. Nothing that talks to another machine may import this file (a lint rule
 * says which), and nothing here knows of documents, packets or peers: the caller writes what `put` returns, and never
 * the content, into the agent's `diary` document.
 */
export class Diary {
  readonly #store: Store
  readonly #now: () => number

  /** For the scrub, which looks at checks and keys, never at content. */
  readonly sound: SoundStore

  private constructor(sound: SoundStore, now: () => number) {
    this.sound = sound
    this.#store = sound.store
    this.#now = now
  }

  /** Throws what `openStore` throws. */
  static async open(directory: string, now: () => number): Promise<Diary> {
    return new Diary(
      await openSoundStore(directory, { now, monotonicMs: () => performance.now(), mirrored: false }),
      now,
    )
  }

  /** Durable when it resolves. An entry of that id is replaced. */
  async put(agent: AgentId, id: string, content: string, tags: readonly string[]): Promise<DiaryMetadata> {
    check(id, content, tags)
    const entry: DiaryEntry = { id, atMs: this.#now(), characters: charactersOf(content), tags: [...tags], content }
    await this.#store.commit([{ type: 'put', key: diaryKey(agent, id), value: writeEntry(entry) }])
    return metadataOf(entry)
  }

  async get(agent: AgentId, id: string): Promise<DiaryEntry | undefined> {
    if (!isItemId(id)) return undefined
    const key = diaryKey(agent, id)
    const value = await this.#store.get(key)
    return value && readEntry(key, value)
  }

  /** By id. */
  async list(agent: AgentId): Promise<DiaryMetadata[]> {
    const prefix = diaryPrefix(agent)
    const entries: DiaryMetadata[] = []
    for await (const [key, value] of this.#store.read({ from: prefix, to: afterPrefix(prefix) })) {
      entries.push(metadataOf(readEntry(key, value)))
    }
    return entries
  }

  async delete(agent: AgentId, id: string): Promise<void> {
    await this.#store.commit([{ type: 'delete', key: diaryKey(agent, id) }])
  }

  close(): Promise<void> {
    return this.sound.close()
  }
}

/** Code points: what a person would count, but for combined signs. */
function charactersOf(text: string): number {
  let characters = 0
  for (const _ of text) characters += 1
  return characters
}

// Field by field: content cannot slip along.
const metadataOf = ({ id, atMs, characters, tags }: DiaryEntry): DiaryMetadata => ({ id, atMs, characters, tags })

function check(id: string, content: string, tags: readonly string[]): void {
  if (!isItemId(id)) throw new Failure('UMR_INVALID', 'A diary entry needs an id without control characters.')
  if (!content.isWellFormed())
    throw new Failure('VALUE_INVALID', 'The content holds half a character, which has no UTF-8 form.')
  if (utf8(content).length > DIARY_CONTENT_BYTES_MAX) {
    throw new Failure('VALUE_TOO_LARGE', `A diary entry holds up to ${DIARY_CONTENT_BYTES_MAX} bytes.`, {
      next: 'write it as several entries',
    })
  }
  const fits = (tag: string) => tag.isWellFormed() && utf8(tag).length <= DIARY_TAG_BYTES_MAX
  if (tags.length > DIARY_TAGS_MAX || !tags.every(fits)) {
    throw new Failure('VALUE_INVALID', `An entry has up to ${DIARY_TAGS_MAX} tags of ${DIARY_TAG_BYTES_MAX} bytes.`)
  }
}

const writeEntry = (entry: DiaryEntry): Uint8Array =>
  encode((w) => {
    writeUint(w, entry.atMs)
    writeUint(w, entry.characters)
    writeList(w, entry.tags, (tag) => writeText(w, tag))
    writeText(w, entry.content)
  })

function readEntry(key: Uint8Array, value: Uint8Array): DiaryEntry {
  const entry = decode(value, (r) => ({
    id: entryOfDiaryKey(key),
    atMs: readUint(r),
    characters: readUint(r),
    tags: readList(r, DIARY_TAGS_MAX, () => readText(r, DIARY_TAG_BYTES_MAX)),
    content: readText(r, DIARY_CONTENT_BYTES_MAX),
  }))
  if (!entry.ok) throw new Failure('STORE_DAMAGED', `Stored bytes cannot be read: ${describeKey(key)}.`)
  return entry.value
}
