import { YKeyValue } from 'y-utility/y-keyvalue'
import * as Y from 'yjs'
import type { Engine } from './engine-run.ts'

export const yMap = (writers: number): Engine =>
  yjs(writers, (document) => {
    const map = document.getMap<string>('facts')
    return { set: (key, value) => void map.set(key, value), get: (key) => map.get(key) }
  })

export const yKeyValue = (writers: number): Engine =>
  yjs(writers, (document) => {
    const facts = new YKeyValue<string>(document.getArray('facts'))
    return { set: (key, value) => facts.set(key, value), get: (key) => facts.get(key) }
  })

interface Facts {
  set(key: string, value: string): void
  get(key: string): string | undefined
}

function yjs(writers: number, open: (document: Y.Doc) => Facts): Engine {
  const documents = Array.from({ length: writers }, () => new Y.Doc())
  const facts = documents.map(open)
  for (const document of documents)
    document.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin === 'passed on') return
      for (const other of documents) if (other !== document) Y.applyUpdate(other, update, 'passed on')
    })
  return {
    write: (writer, key, value) => facts[writer]?.set(key, value),
    read: (replica, key) => facts[replica]?.get(key),
    encode: () => ({ state: documents[0] === undefined ? 0 : Y.encodeStateAsUpdate(documents[0]).length, proof: 0 }),
  }
}
