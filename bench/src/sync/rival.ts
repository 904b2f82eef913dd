import type { ChildProcess } from 'node:child_process'
import { awaitMessage, closePair, openPair, type Pair, startPart } from './run.ts'

/**
 * Hocuspocus 3 with Yjs: a server process that stores nothing, a writer process and an observer process, all in clear
 * over plain WebSocket on loopback. Every pair has a document of its own, so that no run pays for another's history.
 */
export interface Rival {
  /** `clients`: how many Y.Docs and connections the writers share out among themselves. */
  withPair<T>(clients: number, use: (pair: Pair) => Promise<T>): Promise<T>
  close(): Promise<void>
}

export async function startRival(): Promise<Rival> {
  const server: ChildProcess = startPart('rival-server.js', [])
  const port = await awaitMessage(server, (message: { type: string; port: number }) =>
    message.type === 'listening' ? message.port : undefined,
  )
  const url = `ws://127.0.0.1:${port}`
  let documents = 0
  return {
    async withPair(clients, use) {
      const name = `bench-${++documents}`
      const pair = await openPair(
        startPart('rival-writer.js', [url, name, String(clients)]),
        startPart('rival-observer.js', [url, name]),
      )
      try {
        return await use(pair)
      } finally {
        await closePair(pair)
      }
    },
    async close() {
      const gone = new Promise((resolve) => server.once('exit', resolve))
      server.send({ type: 'stop' })
      await gone
    },
  }
}
