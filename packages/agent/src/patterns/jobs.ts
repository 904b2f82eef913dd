import { Outcome } from '@sealmesh/protocol/messages/task'

const REASON_CHARACTERS_MAX = 512

/** What an agent's own code is at work on; each ends with an outcome, or is stopped and gives none. */
export class Jobs {
  readonly #running = new Map<string, AbortController>()

  /** What `work` gives must be a JSON value of moderate size. `ended` is called once, unless it was stopped before. */
  start(
    key: string,
    work: (signal: AbortSignal) => Promise<unknown>,
    ended: (outcome: Outcome) => Promise<void>,
  ): void {
    const controller = new AbortController()
    this.#running.set(key, controller)
    void this.#run(key, controller, work, ended).catch(() => {})
  }

  /** Its signal fires, and its outcome is dropped. */
  stop(key: string): void {
    this.#running.get(key)?.abort()
    this.#running.delete(key)
  }

  stopAll(): void {
    for (const key of [...this.#running.keys()]) this.stop(key)
  }

  async #run(
    key: string,
    controller: AbortController,
    work: (signal: AbortSignal) => Promise<unknown>,
    ended: (outcome: Outcome) => Promise<void>,
  ): Promise<void> {
    const outcome = await outcomeOf(work, controller.signal)
    // Stopped, and perhaps begun anew since: what this run gives is nobody's.
    if (this.#running.get(key) !== controller) return
    this.#running.delete(key)
    await ended(outcome)
  }
}

async function outcomeOf(work: (signal: AbortSignal) => Promise<unknown>, signal: AbortSignal): Promise<Outcome> {
  try {
    const outcome = Outcome.safeParse({ ok: true, value: (await work(signal)) ?? null })
    return outcome.success ? outcome.data : { ok: false, reason: 'The result is too large, or no JSON value' }
  } catch (cause) {
    // To the one who asked, and nobody else.
    const reason = cause instanceof Error ? cause.message : 'It failed'
    return { ok: false, reason: reason.slice(0, REASON_CHARACTERS_MAX) }
  }
}
