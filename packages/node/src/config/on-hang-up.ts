/**
 * A terminal that closes means the end, as ever; to a process without one the signal says: read the config again. The
 * result ends it.
 */
export function onHangUp(reload: () => Promise<unknown>): () => void {
  const heard = (): void => void reload()
  if (process.stdin.isTTY !== true) process.on('SIGHUP', heard)
  return () => void process.off('SIGHUP', heard)
}
