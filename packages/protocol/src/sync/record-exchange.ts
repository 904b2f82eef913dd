import type { RecordHash } from '../ids.ts'

/** A question, about one document or about the log, is not repeated sooner than this. */
export const ASK_AGAIN_MS = 1_000

/** Where the peer stands with the membership log, and what is to be sent or asked of it. */
export class RecordExchange {
  #mine: readonly RecordHash[] = []
  /** The log heads that our last records or the peer's last packet brought it to. */
  #theirs: readonly RecordHash[] | undefined
  #sendAfter: readonly RecordHash[] | undefined
  #wants = false
  #wantedAtMs = Number.NEGATIVE_INFINITY

  changed(heads: readonly RecordHash[]): void {
    this.#mine = heads
    if (this.#theirs !== undefined && !sameHeads(this.#theirs, heads)) this.#sendAfter = this.#theirs
  }

  /** What was on its way may be lost. */
  doubt(): void {
    if (this.#theirs !== undefined) this.#sendAfter = this.#theirs
  }

  /** What the peer said stands on records that we lack. They may be in its next packet, so one question is enough. */
  want(nowMs: number): void {
    if (nowMs - this.#wantedAtMs < ASK_AGAIN_MS) return
    this.#wants = true
    this.#wantedAtMs = nowMs
  }

  /** The peer's packet named these heads; `announces`: it said where it stands, or asked. */
  heard(heads: readonly RecordHash[], missing: boolean, announces: boolean, nowMs: number): void {
    if (missing) this.want(nowMs)
    const behind = !missing && !sameHeads(heads, this.#mine)
    // Between announcements a peer that still names old heads has our records on their way to it.
    if (behind && (announces || this.#theirs === undefined)) this.#sendAfter = heads
    if (this.#theirs === undefined || announces || !behind) this.#theirs = heads
  }

  asked(heads: readonly RecordHash[]): void {
    this.#sendAfter = heads
  }

  get wants(): boolean {
    return this.#wants
  }

  /** Null: nothing is to be sent. */
  get sendAfter(): readonly RecordHash[] | null {
    return this.#sendAfter ?? null
  }

  wanted(): void {
    this.#wants = false
  }

  sent(after: readonly RecordHash[] | null): void {
    if (after === null || this.#sendAfter !== after) return
    this.#sendAfter = undefined
    this.#theirs = this.#mine
  }

  get isSame(): boolean {
    return this.#theirs !== undefined && sameHeads(this.#theirs, this.#mine)
  }
}

const sameHeads = (a: readonly RecordHash[], b: readonly RecordHash[]): boolean =>
  a.length === b.length && a.every((hash, at) => hash === b[at])
