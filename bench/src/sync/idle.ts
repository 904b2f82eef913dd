import { setTimeout as wait } from 'node:timers/promises'

const LOOK_MS = 100
const BUSY_SHARE = 0.1
const WAIT_MS_MAX = 60_000

/** When this process has no more to do: what a node puts off while it is written to must not fall into the next run. */
export async function untilIdle(): Promise<void> {
  for (let waitedMs = 0; waitedMs < WAIT_MS_MAX; waitedMs += LOOK_MS) {
    const before = process.cpuUsage()
    await wait(LOOK_MS)
    const { user, system } = process.cpuUsage(before)
    if (user + system < BUSY_SHARE * LOOK_MS * 1_000) return
  }
}
