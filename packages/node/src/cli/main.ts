import { INTERRUPTED_EXIT } from './failures.ts'
import { runCli } from './run.ts'

/** The command line's composition root: the process's streams, signals and exit code. */
const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.on(name, () => {
    // The first asks, the second insists.
    if (stop.signal.aborted) process.exit(INTERRUPTED_EXIT)
    stop.abort()
  })
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // `sealmesh ls | head`: nobody reads any more.
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})
// A node goes on when nobody listens to its talk.
process.stderr.on('error', () => undefined)

const { stdin, stdout, stderr, env } = process
process.exitCode = await runCli(process.argv.slice(2), {
  terminal: { stdin, stdout, stderr, env },
  signal: stop.signal,
})
// What was broken off may still hold sockets and timers.
if (stop.signal.aborted) process.exit()
