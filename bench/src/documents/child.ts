import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** A part that says nothing for this long has hung. */
const STUCK_MS = 300_000

/**
 * Runs a file of this folder in a process of its own and resolves with the one message that it sends: so no part's
 * heap, compiled code or caches are another's. `--expose-gc`, for those that measure memory.
 */
export function measureIn<T>(file: string, args: readonly (string | number)[]): Promise<T> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL(file, import.meta.url)), args.map(String), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      execArgv: ['--expose-gc'],
    })
    let figures: { of: T } | undefined
    const stuck = setTimeout(() => child.kill('SIGKILL'), STUCK_MS)
    child.on('message', (message) => {
      figures = { of: message as T }
    })
    child.on('exit', (code, signal) => {
      clearTimeout(stuck)
      if (code === 0 && figures !== undefined) resolve(figures.of)
      else reject(new Error(`${file} ended with ${signal ?? code} and ${figures ? 'one' : 'no'} message`))
    })
  })
}

/** The child's half: one message, then it ends. */
export function report<T>(figures: T): void {
  process.send?.(figures, () => process.exit(0))
}

/** Bytes of heap (V8's and what hangs off it) that survive a collection. */
export async function heapBytes(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.()
    // Finalizers, which free what lies outside V8's heap, run between turns.
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
