import { setTimeout as delay } from 'node:timers/promises'
import type { MeshId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { ClusterStore } from './cluster-store.ts'
import type { ClusterTally } from './cluster-tally.ts'
import type { HomeRecord, MeshLog } from './log.ts'
import { type LoadedMesh, MeshReader } from './rows.ts'

/** Where a mesh is to be found. */
export type Home =
  | { readonly type: 'here' }
  | { readonly type: 'there'; readonly instance: string }
  /** No relay of the cluster knows it. */
  | { readonly type: 'unknown' }

export interface HomesDeps {
  readonly log: MeshLog
  readonly store: ClusterStore
  readonly instance: string
  readonly sodium: Sodium
  /** Of the clock, as JetStream stamps what it stores. */
  readonly now: () => number
  /** Whether nobody is there any more under this id. Takes seconds where nothing answers. */
  readonly isDead: (instance: string) => Promise<boolean>
  /** The core knows the mesh from here on. */
  readonly onCame: (loaded: LoadedMesh) => void
  /** Nobody is served for it any more. */
  readonly onGone: (mesh: MeshId) => void
  /** A courtesy: the other one would find out at its next write. */
  readonly tellTaken: (instance: string, mesh: MeshId) => void
  readonly tally: ClusterTally
}

const TRIES = 5
const TRY_AGAIN_MS = 100
const CHECKS_AT_ONCE = 32
/** What nobody has used for so long is given up: whichever relay its next node reaches takes it. */
export const IDLE_MS = 600_000
/** In a record: it is nobody's. */
const NOBODY = ''

/**
 * Which meshes this instance is home of. Right or wrong about another one's death, taking a home is safe: the record
 * of a home is what every batch is conditional on (`log.ts`), so that the one before it cannot write from then on.
 */
export class Homes {
  readonly #deps: HomesDeps
  readonly #asking = new Map<MeshId, Promise<Home>>()
  /** When a mesh that is idle now was seen so first. */
  readonly #idleSinceMs = new Map<MeshId, number>()

  constructor(deps: HomesDeps) {
    this.#deps = deps
  }

  /** `admits`: the mesh may be new. Fails where JetStream does not answer. */
  async find(mesh: MeshId, admits: boolean): Promise<Home> {
    if (this.#deps.store.fenceOf(mesh) !== undefined) return { type: 'here' }
    const asked = this.#asking.get(mesh)
    // Who brings a claim may find what somebody without one did not.
    if (asked !== undefined) {
      const home = await asked
      if (home.type !== 'unknown' || !admits) return home
    }
    const asking = this.#find(mesh, admits).finally(() => {
      if (this.#asking.get(mesh) === asking) this.#asking.delete(mesh)
    })
    this.#asking.set(mesh, asking)
    return await asking
  }

  /** Another instance says that it has taken it, or it was not found where it should be: whether that is so. */
  async check(mesh: MeshId): Promise<void> {
    const fence = this.#deps.store.fenceOf(mesh)
    if (fence === undefined) return
    const record = await this.#deps.log.home(mesh)
    // An older one is a replica that is behind.
    if (record === null || record.fence <= fence || this.#deps.store.fenceOf(mesh) !== fence) return
    this.#deps.tally.lost += 1
    this.#leave(mesh)
  }

  async checkAll(): Promise<void> {
    const meshes = this.#deps.store.meshes()
    for (let at = 0; at < meshes.length; at += CHECKS_AT_ONCE)
      await Promise.allSettled(meshes.slice(at, at + CHECKS_AT_ONCE).map((mesh) => this.check(mesh)))
  }

  /** For a relay that stops, after its last write: who comes next need not ask whether this one is dead. */
  async releaseAll(): Promise<void> {
    const meshes = this.#deps.store.meshes()
    for (let at = 0; at < meshes.length; at += CHECKS_AT_ONCE)
      await Promise.allSettled(meshes.slice(at, at + CHECKS_AT_ONCE).map((mesh) => this.#release(mesh)))
  }

  /**
   * Called from time to time. Meshes move only while nobody is there, so that a relay that was started takes its share
   * without anybody's connection ending.
   */
  async releaseIdle(isUsed: (mesh: MeshId) => boolean, nowMs: number): Promise<void> {
    const idle: MeshId[] = []
    for (const mesh of this.#deps.store.meshes()) {
      if (isUsed(mesh)) this.#idleSinceMs.delete(mesh)
      else if (nowMs - (this.#idleSinceMs.get(mesh) ?? nowMs) >= IDLE_MS) idle.push(mesh)
      else if (!this.#idleSinceMs.has(mesh)) this.#idleSinceMs.set(mesh, nowMs)
    }
    for (const mesh of idle.slice(0, CHECKS_AT_ONCE)) await this.#release(mesh)
  }

  async #release(mesh: MeshId): Promise<void> {
    const { store, log, tally } = this.#deps
    const fence = store.fenceOf(mesh)
    if (fence === undefined) return
    tally.released += 1
    this.#leave(mesh)
    // Otherwise it is found free a little later.
    await log.take(mesh, NOBODY, fence).catch(() => null)
  }

  /** Its store goes first, so that nothing that ends here is written any more. */
  #leave(mesh: MeshId): void {
    this.#idleSinceMs.delete(mesh)
    this.#deps.store.drop(mesh)
    this.#deps.onGone(mesh)
  }

  async #find(mesh: MeshId, admits: boolean): Promise<Home> {
    const { log, instance, isDead } = this.#deps
    for (let attempt = 0; attempt < TRIES; attempt++) {
      if (attempt > 0) await delay(TRY_AGAIN_MS)
      const record = await log.home(mesh)
      if (record === null && !admits && !(await log.isAdmitted(mesh))) return { type: 'unknown' }
      const isFree = record === null || record.instance === NOBODY || record.instance === instance
      if (!isFree && !(await isDead(record.instance))) return { type: 'there', instance: record.instance }
      if (await this.#take(mesh, record)) return { type: 'here' }
    }
    throw new Error('the home of a mesh changes too often')
  }

  /** False when another was faster. */
  async #take(mesh: MeshId, before: HomeRecord | null): Promise<boolean> {
    const { log, store, instance, sodium, now, onCame, tellTaken } = this.#deps
    const fence = await log.take(mesh, instance, before?.fence ?? 0)
    if (fence === null) return false
    this.#deps.tally.takeovers += 1
    if (before !== null && before.instance !== instance && before.instance !== NOBODY) tellTaken(before.instance, mesh)
    const reader = new MeshReader(mesh, sodium, now())
    await log.load(mesh, fence, (entry) => reader.take(entry))
    const loaded = reader.end()
    store.add(mesh, fence, loaded)
    onCame(loaded)
    return true
  }
}
