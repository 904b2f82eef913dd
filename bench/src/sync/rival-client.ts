import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider'
import { WebSocket } from 'ws'
import * as Y from 'yjs'

export interface RivalClient {
  readonly document: Y.Doc
  readonly facts: Y.Map<string>
  close(): void
}

/** One Y.Doc that is in sync with the server when this resolves. ws without compression, and with bufferutil. */
export async function openRival(url: string, name: string): Promise<RivalClient> {
  const document = new Y.Doc()
  const websocketProvider = new HocuspocusProviderWebsocket({ url, WebSocketPolyfill: WebSocket })
  const provider = new HocuspocusProvider({ websocketProvider, name, document, awareness: null })
  provider.attach()
  await new Promise<void>((resolve) => {
    if (provider.isSynced) resolve()
    else provider.on('synced', () => resolve())
  })
  return {
    document,
    facts: document.getMap('facts'),
    close() {
      provider.destroy()
      websocketProvider.destroy()
    },
  }
}
