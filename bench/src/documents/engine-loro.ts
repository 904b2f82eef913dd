import { LoroDoc } from 'loro-crdt'
import type { Engine } from './engine-run.ts'

/** One commit for each write, which is what an application that saves each fact makes. */
export function loro(writers: number): Engine {
  const replicas = Array.from({ length: writers }, (_, writer) => {
    const document = new LoroDoc()
    document.setPeerId(BigInt(writer + 1))
    return { document, facts: document.getMap('facts') }
  })
  return {
    write(writer, key, value) {
      const replica = replicas[writer]
      if (replica === undefined) return
      replica.facts.set(key, value)
      replica.document.commit()
      for (const other of replicas) {
        if (other === replica) continue
        other.document.import(replica.document.export({ mode: 'update', from: other.document.version() }))
      }
    },
    read(replica, key) {
      const value = replicas[replica]?.facts.get(key)
      return typeof value === 'string' ? value : undefined
    },
    encode: () => ({ state: replicas[0]?.document.export({ mode: 'snapshot' }).length ?? 0, proof: 0 }),
  }
}
