import type { McpRequestContext, McpServer } from '@modelcontextprotocol/server'

/** A resource of which a client may be told that it has changed. */
export interface Told {
  readonly uri: string
  /** Gives back how to stop. */
  readonly onChange: (listener: () => void) => () => void
}

/**
 * Tells clients that subscribe; what has changed they read. In the 2025 revision they subscribe here. In that of 2026
 * they listen, which is not seen here: on stdio everything is told and the transport passes on what is listened to; over
 * HTTP a server lives for one request, and `http.ts` tells.
 */
export function tellSubscribers(server: McpServer, { uri, onChange }: Told, context: McpRequestContext): void {
  const { era, requestInfo } = context
  const tell = (): void => void server.server.sendResourceUpdated({ uri }).catch(() => undefined)
  let stop = era === 'modern' && requestInfo === undefined ? onChange(tell) : null
  const { onclose } = server.server
  server.server.onclose = () => {
    stop?.()
    onclose?.()
  }
  if (era === 'modern') return
  server.server.setRequestHandler('resources/subscribe', ({ params }) => {
    if (params.uri === uri) stop ??= onChange(tell)
    return {}
  })
  server.server.setRequestHandler('resources/unsubscribe', ({ params }) => {
    if (params.uri === uri) {
      stop?.()
      stop = null
    }
    return {}
  })
}
