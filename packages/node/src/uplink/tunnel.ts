import { request } from 'node:http'
import type { Socket } from 'node:net'
import { Failure } from '@sealmesh/protocol/errors'
import type { Proxy } from './ways.ts'

/**
 * A way to a host through a proxy (RFC 9110 §9.3.6). The result ends what is under way; `ready` is called once, with a
 * socket or with PROXY_REFUSED, unless it was ended before.
 */
export function openTunnel(
  proxy: Proxy,
  host: string,
  port: number,
  ready: (error: Error | null, socket?: Socket) => void,
): () => void {
  const authority = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  const asked = request({
    host: proxy.host,
    port: proxy.port,
    method: 'CONNECT',
    path: authority,
    headers: {
      host: authority,
      ...(proxy.credentials === null
        ? {}
        : { 'proxy-authorization': `Basic ${Buffer.from(proxy.credentials).toString('base64')}` }),
    },
    agent: false,
  })
  let over = false
  const end = (error: Error | null, socket?: Socket): void => {
    if (over) return void socket?.destroy()
    over = true
    ready(error, socket)
  }
  asked.once('connect', (response, socket) => {
    if (response.statusCode === 200) return end(null, socket)
    socket.destroy()
    const what =
      response.statusCode === 407 ? 'The proxy wants to know who asks' : 'The proxy refused a way to the relay'
    end(new Failure('PROXY_REFUSED', `${what} (HTTP ${response.statusCode}).`))
  })
  asked.once('error', (cause) => end(new Failure('PROXY_REFUSED', 'The proxy does not answer.', { cause })))
  asked.end()
  return () => {
    over = true
    asked.destroy()
  }
}
