import { NOTHING_HEARD } from '@sealmesh/protocol/crdt/heard'
import { StoredWrite } from '@sealmesh/protocol/crdt/register'
import { encodeRegisters } from '@sealmesh/protocol/crdt/register-codec'
import { RegisterMap } from '@sealmesh/protocol/crdt/register-map'
import type { BlockHash, IncarnationId, NodeId } from '@sealmesh/protocol/ids'
import type { Engine } from './engine-run.ts'

/** The register map of a document. Every write is a block of its own here, with a hash that is made up. */
export function ours(writers: number): Engine {
  const replicas = Array.from({ length: writers }, (_, writer) => ({
    map: new RegisterMap(),
    author: `${writer + 1}`.repeat(64) as NodeId,
    incarnation: `${writer + 1}`.repeat(32) as IncarnationId,
    sequence: 0,
  }))
  const start = 1_700_000_000_000
  let written = 0
  return {
    write(writer, key, value) {
      const replica = replicas[writer]
      if (replica === undefined) return
      const { author, incarnation } = replica
      const sequence = ++replica.sequence
      const hash = `${writer + 1}${sequence.toString(16).padStart(63, '0')}` as BlockHash
      const time = { wallMs: start + (++written >> 4), counter: written & 15 }
      const write = replica.map.write(key, value, { dot: { incarnation, sequence, hash }, author, time })
      for (const other of replicas) {
        if (other === replica) continue
        const { dot, replaces } = write
        // A copy: merging takes clocks over in place.
        other.map.merge(key, new StoredWrite(dot, author, time, value, replaces, undefined), NOTHING_HEARD)
      }
    },
    read: (replica, key) => replicas[replica]?.map.read(key)?.value,
    encode() {
      const first = replicas[0]
      if (first === undefined) return { state: 0, proof: 0 }
      const { state, hashes } = encodeRegisters(first.map)
      return { state: state.length, proof: hashes.length }
    },
  }
}
