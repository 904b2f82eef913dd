import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider'
import { WebSocket } from 'ws'
import * as Y from 'yjs'
import { monotonicMs } from '../sync/workload.ts'
import { serve } from './host.ts'
import { keyOf, SET_AT_ONCE, valueOf } from './registers.ts'

/** node rival-client-host.js URL: a Y.Doc that is connected to the server when the bench says so. */
const [url = ''] = process.argv.slice(2)
const document = new Y.Doc()
const facts = document.getMap<string>('facts')

const answers = {
  fill(registers: number): void {
    for (let from = 0; from < registers; from += SET_AT_ONCE)
      document.transact(() => {
        for (let i = from; i < Math.min(registers, from + SET_AT_ONCE); i++) facts.set(keyOf(i), valueOf(i, 0))
      })
  },
  /** When it began to connect; a client with an empty document answers when it is in sync. */
  async connect(): Promise<number> {
    const atMs = monotonicMs()
    const websocketProvider = new HocuspocusProviderWebsocket({ url, WebSocketPolyfill: WebSocket })
    const provider = new HocuspocusProvider({ websocketProvider, name: 'first', document, awareness: null })
    provider.attach()
    await new Promise<void>((resolve) => {
      if (provider.isSynced || facts.size > 0) resolve()
      else provider.on('synced', () => resolve())
    })
    return atMs
  },
  seen: (registers: number): Promise<number> =>
    new Promise((resolve) => {
      const look = () => {
        if (facts.size < registers) return
        document.off('update', look)
        resolve(monotonicMs())
      }
      document.on('update', look)
      look()
    }),
  close: (): void => {},
}
export type RivalClientHost = typeof answers

serve(answers)
