/**
 * Tells each listener. What one throws is nobody's but its program's: it surfaces as an uncaught exception, once the others
 * have been told and what else came has been read.
 */
export function tellAll<T>(listeners: Iterable<(said: T) => void>, said: T): void {
  for (const listener of listeners) {
    try {
      listener(said)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }
}
