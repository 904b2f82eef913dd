import * as Automerge from '@automerge/automerge'
import type { Engine } from './engine-run.ts'

type Facts = Record<string, string>

/** One change for each write, which is what an application that saves each fact makes. */
export function automerge(writers: number): Engine {
  const first = Automerge.from<Facts>({})
  const replicas = [first, ...Array.from({ length: writers - 1 }, () => Automerge.clone(first))]
  return {
    write(writer, key, value) {
      const before = replicas[writer]
      if (before === undefined) return
      const after = Automerge.change(before, (facts) => {
        facts[key] = value
      })
      replicas[writer] = after
      if (writers === 1) return
      const change = Automerge.getLastLocalChange(after)
      for (let other = 0; other < writers; other++) {
        const behind = replicas[other]
        if (other !== writer && behind !== undefined && change !== undefined)
          replicas[other] = Automerge.applyChanges(behind, [change])[0]
      }
    },
    read: (replica, key) => replicas[replica]?.[key],
    encode: () => ({ state: replicas[0] === undefined ? 0 : Automerge.save(replicas[0]).length, proof: 0 }),
  }
}
