import type { McpServerFactory } from '@modelcontextprotocol/server'
import { serveStdio } from '@modelcontextprotocol/server/stdio'

/** Serves the client at the other end of stdin and stdout until it leaves, or `signal` says so. */
export async function serveOnStdio(factory: McpServerFactory, signal: AbortSignal): Promise<void> {
  const gone = new Promise<void>((resolve) => {
    process.stdin.once('close', resolve)
    process.stdin.once('end', resolve)
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  const handle = serveStdio(factory)
  await gone
  await handle.close()
}
