import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import type { IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { vaultKeyOf } from '@sealmesh/protocol/snapshots/sealed'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { KeyStore } from '../keys/key-store.ts'
import { makePrivateDirectory } from '../keys/durable-file.ts'
import type { Meta } from '../store/meta.ts'
import type { Store } from '../store/store.ts'
import { imageOf } from './image-of-home.ts'
import { createSnapshotFile } from './snapshot-file.ts'
import { type VaultPort, vaultSink } from './vault-client.ts'
import { type Made, type Progress, type SnapshotSink, writeSnapshot } from './write-snapshot.ts'

/** Once a day by itself, in the vault. */
const EVERY_MS = 24 * 60 * 60_000
/** After a try that failed. */
const AGAIN_MS = 60 * 60_000
/** After a start there is better to do, and a mesh that was just founded has nothing to lose yet. */
const SETTLE_MS = 10 * 60_000
const CHECK_MS = 60_000

const Kept = z.object({
  atMs: z.number(),
  /** Before it was compressed. */
  bytes: z.number(),
  chunks: z.number(),
  freshBytes: z.number(),
  freshChunks: z.number(),
  /** Entries of this home's database that were damaged, and are not in it. */
  damaged: z.number(),
})
const Last = z.object({
  vault: Kept.nullable(),
  file: Kept.nullable(),
  /** The last try to leave one in the vault, if it came to nothing. */
  failed: z.object({ atMs: z.number(), code: z.string() }).nullable(),
})
export type Last = z.infer<typeof Last>
const LAST = 'last-snapshot'

export interface SnapshotsDeps {
  readonly home: string
  readonly configPath: string
  readonly store: Store
  /** Nothing of it goes to a relay, whoever asks. */
  readonly diary: () => Store
  readonly keys: KeyStore
  readonly node: NodeId
  readonly incarnation: () => IncarnationId
  readonly mesh: () => Mesh
  readonly relay: () => Promise<VaultPort>
  readonly isDaily: () => boolean
  readonly meta: Meta
  readonly sodium: Sodium
  readonly random: (bytes: number) => Uint8Array
  readonly now: () => number
  readonly logger: Pick<Logger, 'info' | 'warn'>
}

export interface Wanted {
  /** A file; null for the relay's vault. */
  readonly path: string | null
  readonly withDiary: boolean
}

export interface SnapshotState {
  readonly running: (Progress & { readonly to: 'file' | 'vault' }) | null
  /** Of the last that ended, in this process. */
  readonly made: (Made & { readonly path: string | null; readonly damaged: number }) | null
  readonly failure: Failure | null
  readonly last: Last
}

/** Makes snapshots of this home: one at a time, when somebody asks, and daily for the vault. */
export class Snapshots {
  readonly #deps: SnapshotsDeps
  readonly #stop = new AbortController()
  readonly #timer: NodeJS.Timeout
  readonly #sinceMs: number
  #last: Last
  #job: Promise<void> | undefined
  #running: SnapshotState['running'] = null
  #made: SnapshotState['made'] = null
  #failure: Failure | null = null
  #triedAtMs = 0

  private constructor(deps: SnapshotsDeps, last: Last) {
    this.#deps = deps
    this.#last = last
    this.#sinceMs = deps.now()
    this.#timer = setInterval(() => this.whenDue(), CHECK_MS)
    this.#timer.unref()
  }

  static async load(deps: SnapshotsDeps): Promise<Snapshots> {
    const last = await deps.meta.read(LAST, Last).catch(() => undefined)
    return new Snapshots(deps, last ?? { vault: null, file: null, failed: null })
  }

  get state(): SnapshotState {
    return { running: this.#running, made: this.#made, failure: this.#failure, last: this.#last }
  }

  /** Where snapshots lie for which no place was named. */
  get directory(): string {
    return join(this.#deps.home, 'snapshots')
  }

  pathAt(atMs: number): string {
    return join(this.directory, `${new Date(atMs).toISOString().replaceAll(/[-:]/g, '').slice(0, 15)}Z.snapshot`)
  }

  /** Begins one; `state` says what becomes of it. Throws CORE_BUSY while another one is made. */
  start(wanted: Wanted): void {
    if (this.#job !== undefined) throw new Failure('CORE_BUSY', 'A snapshot is being made already.')
    if (wanted.path === null && wanted.withDiary)
      throw new Failure('DIARY_PRIVATE', 'The content of a diary never leaves its machine, also not sealed.', {
        next: 'sealmesh snapshot create FILE --with-diary',
      })
    this.#failure = null
    this.#made = null
    this.#job = this.#make(wanted).finally(() => {
      this.#job = undefined
      this.#running = null
    })
  }

  /** Leaves one in the vault when the last is a day old. Called every minute. */
  whenDue(): void {
    const { now, isDaily, mesh, node } = this.#deps
    const nowMs = now()
    const known = mesh()
    if (this.#job !== undefined || !isDaily() || nowMs - this.#sinceMs < SETTLE_MS) return
    if (known.recovery === null || known.relays.length === 0 || known.nodes.get(node)?.revocations.length !== 0) return
    if (nowMs - (this.#last.vault?.atMs ?? 0) < EVERY_MS || nowMs - this.#triedAtMs < AGAIN_MS) return
    this.start({ path: null, withDiary: false })
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#stop.abort()
    await this.#job
  }

  /** Never rejects: what came of it is in the state. */
  async #make({ path, withDiary }: Wanted): Promise<void> {
    const { logger, now } = this.#deps
    this.#triedAtMs = now()
    const to = path === null ? 'vault' : 'file'
    this.#running = { to, bytes: 0, chunks: 0 }
    try {
      const { made, damaged, atMs } = path === null ? await this.#toVault() : await this.#toFile(path, withDiary)
      this.#made = { ...made, path, damaged }
      const kept = {
        atMs,
        bytes: made.bytes,
        chunks: made.chunks,
        freshBytes: made.fresh.bytes,
        freshChunks: made.fresh.chunks,
        damaged,
      }
      await this.#note({ ...this.#last, [to]: kept, ...(to === 'vault' ? { failed: null } : {}) })
      logger.info({ to, chunks: made.chunks, fresh: made.fresh.chunks, damaged }, 'a snapshot was made')
    } catch (error) {
      const failure =
        error instanceof Failure ? error : new Failure('INTERNAL', 'The snapshot was not made.', { cause: error })
      this.#failure = failure
      logger.warn({ err: error, to }, 'a snapshot was not made')
      if (to === 'vault')
        await this.#note({ ...this.#last, failed: { atMs: now(), code: failure.code } }).catch(() => undefined)
    }
  }

  async #toVault(): Promise<Written> {
    return this.#write(vaultSink(await this.#deps.relay()), { identity: false, diary: undefined })
  }

  async #toFile(path: string, withDiary: boolean): Promise<Written> {
    if (path.startsWith(this.directory)) await makePrivateDirectory(this.directory)
    const file = await createSnapshotFile(path)
    try {
      return await this.#write(file, { identity: true, diary: withDiary ? this.#deps.diary() : undefined })
    } catch (error) {
      await file.abandon()
      throw error
    }
  }

  async #write(
    sink: SnapshotSink,
    { identity, diary }: { readonly identity: boolean; readonly diary: Store | undefined },
  ): Promise<Written> {
    const { store, keys, configPath, mesh, node, incarnation, sodium, random, now } = this.#deps
    const { recovery, id } = mesh()
    if (recovery === null) throw new Failure('KIT_MISSING', 'This mesh names no key to which a snapshot is sealed.')
    let damaged = 0
    const config = () => readFile(configPath).catch(() => undefined)
    const image = imageOf({ store, diary, keys, identity, config }, () => {
      damaged += 1
    })
    const atMs = now()
    const author = {
      mesh: id,
      node,
      incarnation: incarnation(),
      key: vaultKeyOf(keys.sign.secretKey, sodium),
      sign: keys.sign.secretKey,
      kit: recovery.sealKey,
      atMs,
      random,
      sodium,
    }
    const to = this.#running?.to ?? 'file'
    const progress = (at: Progress): void => {
      this.#running = { ...at, to }
    }
    return { made: await writeSnapshot(image, sink, author, progress, this.#stop.signal), damaged, atMs }
  }

  async #note(last: Last): Promise<void> {
    this.#last = last
    await this.#deps.meta.write(LAST, Last, last)
  }
}

interface Written {
  readonly made: Made
  readonly damaged: number
  readonly atMs: number
}
