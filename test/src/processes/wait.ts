import { setTimeout as pause } from 'node:timers/promises'

const POLL_MS = 20

/** Asks again and again until the answer is not undefined or false; never longer than `deadlineMs`. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = 30_000,
): Promise<T> {
  const giveUpAtMs = performance.now() + deadlineMs
  let last: unknown
  for (;;) {
    try {
      const answer = await ask()
      if (answer !== undefined && answer !== false) return answer
      last = undefined
    } catch (error) {
      // A process that is being killed and started answers with errors meanwhile.
      last = error
    }
    if (performance.now() >= giveUpAtMs)
      throw new Error(`waited ${deadlineMs} ms in vain until ${what}`, last === undefined ? {} : { cause: last })
    await pause(POLL_MS)
  }
}

export async function within<T>(promise: Promise<T>, deadlineMs: number, describe: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${describe()} (after ${deadlineMs} ms)`)), deadlineMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
