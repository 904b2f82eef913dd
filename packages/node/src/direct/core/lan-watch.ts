import type { Announcement } from './announcement.ts'
import { ANNOUNCE_EVERY_MS, ANNOUNCEMENTS_A_SECOND, FOUND_A_MINUTE } from './direct-limits.ts'

/** What is made of announcements on the LAN, and how often: strangers are there as well, and may repeat a member's. */
export class LanWatch {
  readonly #own: string
  readonly #looked: Window
  readonly #tried: Window
  #announcedAtMs = Number.NEGATIVE_INFINITY

  constructor(own: string) {
    this.#own = own
    this.#looked = new Window(ANNOUNCEMENTS_A_SECOND, 1_000)
    this.#tried = new Window(FOUND_A_MINUTE, 60_000)
  }

  /** Whether to dial there. `isNew`: it is not dialled already; `isMembers`: its beacon is good, which costs some hashes. */
  isWorthATry(
    announcement: Announcement,
    nowMs: number,
    checks: { readonly isNew: () => boolean; readonly isMembers: () => boolean },
  ): boolean {
    if (announcement.instance === this.#own || !this.#looked.take(nowMs)) return false
    return checks.isNew() && checks.isMembers() && this.#tried.take(nowMs)
  }

  /** Somebody asks. */
  mayAnnounce(nowMs: number): boolean {
    if (nowMs - this.#announcedAtMs < ANNOUNCE_EVERY_MS) return false
    this.#announcedAtMs = nowMs
    return true
  }
}

/** So many in so long. */
class Window {
  readonly #max: number
  readonly #ms: number
  #sinceMs = Number.NEGATIVE_INFINITY
  #count = 0

  constructor(max: number, ms: number) {
    this.#max = max
    this.#ms = ms
  }

  take(nowMs: number): boolean {
    if (nowMs - this.#sinceMs >= this.#ms) {
      this.#sinceMs = nowMs
      this.#count = 0
    }
    if (this.#count >= this.#max) return false
    this.#count += 1
    return true
  }
}
