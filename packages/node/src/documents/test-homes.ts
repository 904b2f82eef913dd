import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { DocumentName } from '@sealmesh/protocol/crdt/block'
import type { VersionVector } from '@sealmesh/protocol/crdt/clock'
import { mintIncarnation, SALT_BYTES } from '@sealmesh/protocol/crdt/incarnation'
import type { IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { LevelDatabase, type Operation } from '../store/database.ts'
import { DamageBook } from '../store/damage-book.ts'
import { DocumentIndex } from '../store/document-index.ts'
import { recoverIndex } from '../store/recover-index.ts'
import { StandingStore } from '../store/standing-store.ts'
import { openStore, type Store } from '../store/store.ts'
import { decodedBlock } from '../store/survey.ts'
import { type Commit, Documents } from './documents.ts'
import { ClosedSets } from './closed-sets.ts'
import { TestMesh, type TestNode } from './fixture.ts'

/** For tests: homes in one directory, each with its documents on a real database. */
export class TestHomes {
  readonly mesh: TestMesh
  readonly directory: string
  readonly #sodium: Sodium
  readonly #running: Running[] = []

  private constructor(sodium: Sodium, directory: string) {
    this.#sodium = sodium
    this.mesh = new TestMesh(sodium)
    this.directory = directory
  }

  static async make(sodium: Sodium): Promise<TestHomes> {
    return new TestHomes(sodium, await mkdtemp(join(tmpdir(), 'sealmesh-documents-')))
  }

  get semantic(): DocumentName {
    return { agent: this.mesh.agent, layer: 'semantic' }
  }

  get episodic(): DocumentName {
    return { agent: this.mesh.agent, layer: 'episodic' }
  }

  /** Written by the holder alone. */
  get session(): DocumentName {
    return { agent: this.mesh.agent, layer: 'session' }
  }

  mint(node: TestNode): IncarnationId {
    return mintIncarnation(node.id, randomBytes(SALT_BYTES), this.#sodium)
  }

  async start(home: string, node: TestNode, options: StartOptions = {}): Promise<Running> {
    const database = new GatedDatabase(join(this.directory, home))
    const store = await openStore(join(this.directory, home), database)
    const errors: unknown[] = []
    const warnings: unknown[] = []
    const surveyed = {
      store,
      sodium: this.#sodium,
      decode: (bytes: Uint8Array) => decodedBlock(bytes, this.#sodium),
      exists: () => true,
    }
    const index = await DocumentIndex.load(store)
    if (index.damaged.length > 0) await recoverIndex(surveyed, index)
    const closed = await ClosedSets.load(store, this.#sodium, options.closedAtLeast)
    const documents = new Documents({
      store,
      index,
      damage: await DamageBook.load(surveyed),
      standings: await StandingStore.load(store),
      closed,
      sodium: this.#sodium,
      log: {
        info: () => {},
        warn: (fields: unknown) => void warnings.push(fields),
        error: (fields: unknown) => void errors.push(fields),
      },
      node: node.id,
      mesh: options.mesh ?? (() => this.mesh.mesh),
      signKey: node.keys.secretKey,
      incarnation: options.incarnation ?? this.mint(node),
      random: (bytes) => randomBytes(bytes),
      now: options.now ?? Date.now,
      ...(options.documentsOpenMax === undefined ? {} : { documentsOpenMax: options.documentsOpenMax }),
      ...(options.openBytesMax === undefined ? {} : { openBytesMax: options.openBytesMax }),
    })
    const commits: Commit[] = []
    documents.onCommit((commit) => commits.push(commit))
    const each = { documents, closed, index, store, database, commits, errors, warnings }
    this.#running.push(each)
    return each
  }

  async stop(running: Running): Promise<void> {
    const { documents, store, database, errors } = running
    const at = this.#running.indexOf(running)
    if (at >= 0) this.#running.splice(at, 1)
    database.release()
    await documents.close()
    await store.close()
    if (errors.length > 0) throw new Error(`Logged as errors: ${JSON.stringify(errors)}`)
  }

  async remove(): Promise<void> {
    for (const each of [...this.#running]) await this.stop(each)
    await rm(this.directory, { recursive: true })
  }
}

export interface Running {
  readonly documents: Documents
  readonly closed: ClosedSets
  readonly index: DocumentIndex
  readonly store: Store
  readonly database: GatedDatabase
  readonly commits: Commit[]
  readonly errors: unknown[]
  readonly warnings: unknown[]
}

interface StartOptions {
  readonly mesh?: () => Mesh
  readonly documentsOpenMax?: number
  readonly closedAtLeast?: number
  readonly openBytesMax?: number
  readonly incarnation?: IncarnationId
  readonly now?: () => number
}

/** A real database whose writes a test can hold back, count and fail. */
export class GatedDatabase extends LevelDatabase {
  batches = 0
  full = false
  #open: Promise<void> = Promise.resolve()
  /** Lets writes pass again. */
  release = (): void => {}

  /** Holds every write until `release`. */
  hold(): void {
    this.#open = new Promise((resolve) => {
      this.release = resolve
    })
  }

  override async write(operations: readonly Operation[]): Promise<void> {
    this.batches += 1
    await this.#open
    if (this.full) throw new Error('IO error: 000003.log: No space left on device')
    await super.write(operations)
  }

  override async bytesFree(): Promise<number> {
    return this.full ? 0 : Number.MAX_SAFE_INTEGER
  }
}

export const set = (key: string, value: string) => ({ type: 'set', key, value }) as const
export const typeText =
  (at: number, text: string) => (doc: { getText(name: string): { insert(at: number, text: string): void } }) =>
    doc.getText('notes').insert(at, text)

export async function valueOf(documents: Documents, name: DocumentName, key: string): Promise<string | undefined> {
  return (await documents.open(name)).read(key)?.value
}

/** Everything that `to` lacks, in steps of at most `bytes`. */
export async function sync(
  from: Documents,
  to: Documents,
  name: DocumentName,
  bytes = 1_000_000,
  sender?: NodeId,
): Promise<void> {
  let vector: VersionVector = await to.claimOf(name)
  for (;;) {
    const delta = await from.after(name, vector, bytes)
    if (delta.pruned !== undefined && sender !== undefined) await to.receivePruned([delta.pruned], sender)
    if (delta.blocks.length > 0) await to.receive(delta.blocks)
    vector = delta.reached
    if (!delta.more) return
    if (delta.pruned === undefined) continue
    // Of what a staged base is to replace it claims less than it has, and is sent what comes before that.
    const claimed = await to.claimOf(name)
    if (!isDeepStrictEqual(claimed, await to.vectorOf(name))) vector = claimed
  }
}

/** After so many batches the disk takes nothing more. Mends it, and tells whether it came to that. */
export function cutShort({ database }: Running, batches: number): () => boolean {
  const write = database.write.bind(database)
  let left = batches
  let cut = false
  database.write = async (operations) => {
    if (left-- > 0) return write(operations)
    cut = true
    throw new Error('IO error: cut short')
  }
  return () => {
    database.write = write
    return cut
  }
}
