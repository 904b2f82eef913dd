import type { IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import type { Documents } from '../documents/documents.ts'
import type { DamageBook } from '../store/damage-book.ts'
import type { StoreHealth } from '../store/open-store.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'
import type { LinkEvent } from '../uplink/link-event.ts'
import type { HomeHealth } from './home-health.ts'
import { notRelearntFrom } from './relearnt.ts'

/** Costs nothing while nothing is wrong. */
const REVIEW_MS = 1_000

export interface HomeWatchDeps {
  readonly health: HomeHealth
  readonly documents: Documents
  readonly damage: DamageBook
  readonly sync: Pick<MeshSync, 'peers'>
  readonly mesh: () => Mesh
  readonly node: NodeId
  readonly startedAtMs: number
  readonly failed: (error: unknown) => void
}

/**
 * Notices that this home is a copy of another one that is in use, or that it was put back from an older copy, and
 * when that is over. Nothing is decided from it: every start mints an incarnation of its own anyway, so that neither
 * can reuse a counter (DESIGN.md §7, Incarnations).
 */
export class HomeWatch {
  readonly #deps: HomeWatchDeps
  readonly #timer: NodeJS.Timeout
  readonly #own = new Set<IncarnationId>()

  constructor(deps: HomeWatchDeps) {
    this.#deps = deps
    this.#own.add(deps.documents.incarnation)
    deps.documents.onRolledBack((_, { header }) => {
      this.#own.add(deps.documents.incarnation)
      const { incarnation, time } = header
      // Written after this process started, and not by it: somebody else is writing under our keys now.
      if (time.wallMs > deps.startedAtMs && !this.#own.has(incarnation))
        this.#note(
          deps.health.copied(`blocks of incarnation ${incarnation}, signed with the keys of this home and not by it`),
        )
      else
        this.#note(
          deps.health.rolledBack(`a peer had blocks of this node's incarnation ${incarnation} that it had not`),
        )
    })
    this.#timer = setInterval(() => this.#review(), REVIEW_MS)
    this.#timer.unref()
  }

  /** What opening the database has shown. Durable when it resolves. */
  async opened({ reasons, rebuilt, fellBack, restored }: StoreHealth): Promise<void> {
    const { health } = this.#deps
    if (rebuilt !== undefined) {
      await health.event(`${reasons.join(', ')}: the database was rebuilt, and its files are kept in ${rebuilt.keptIn}`)
      await health.rolledBack('the files of the database were damaged')
    }
    if (fellBack !== undefined) {
      const found = fellBack.found === null ? 'none of them' : `${fellBack.found}`
      await health.rolledBack(`the database had taken ${fellBack.pinned} batches and holds ${found}`)
    }
    if (restored > 0)
      await health.event(`${restored} named values or membership records came back from their second copy`)
  }

  /** The same of the diary, which nobody else has: what its files lost is lost. */
  async openedDiary({ reasons, rebuilt, fellBack }: StoreHealth): Promise<void> {
    const { health } = this.#deps
    if (rebuilt !== undefined)
      await health.lost(
        `the diary was rebuilt from damaged files, which are kept in ${rebuilt.keptIn}: ${reasons.join(', ')}`,
      )
    if (fellBack !== undefined) await health.lost('the diary holds less than it did')
  }

  onLinkEvent(event: LinkEvent): void {
    if (event.type === 'notice' && (event.reason === 'DUPLICATE_LOGIN' || event.reason === 'HOME_COPIED'))
      this.#note(this.#deps.health.copied('the relay has seen two processes with the keys of this home'))
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #review(): void {
    this.#note(this.#deps.health.review((sinceMs) => this.#relearnt(sinceMs)))
  }

  #relearnt(sinceMs: number): boolean {
    const { damage, sync, mesh, node } = this.#deps
    return damage.size === 0 && notRelearntFrom(mesh(), node, sync.peers(), sinceMs).length === 0
  }

  #note(work: Promise<void>): void {
    work.catch(this.#deps.failed)
  }
}
