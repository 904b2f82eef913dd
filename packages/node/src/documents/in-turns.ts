import { setImmediate as nextTurn } from 'node:timers/promises'

/** How long others wait at most, but for one step. */
const TURN_MS = 10

/** Takes all steps, and lets others have a turn now and then. */
export async function inTurns<T>(steps: Iterator<void, T>): Promise<T> {
  let sinceMs = performance.now()
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    if (performance.now() - sinceMs < TURN_MS) continue
    await nextTurn()
    sinceMs = performance.now()
  }
}
