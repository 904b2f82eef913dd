import type { Document } from '@sealmesh/protocol/crdt/document'
import type { BlockHash, IncarnationId } from '@sealmesh/protocol/ids'
import { MembershipLog } from '@sealmesh/protocol/membership/log'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { TestMesh } from '../documents/fixture.ts'
import { LogKeeper } from '../membership/log-keeper.ts'
import type { RecordStore } from '../store/record-store.ts'
import { Taker, type TakerDeps } from './taker.ts'

test('a takeover by the log starts from what is here when its record is signed, and nothing is receipted until it counts', async () => {
  const sodium = await loadSodium()
  const { id, mesh, agent, office } = new TestMesh(sodium)
  const records = { put: async () => expect(quiet).toBe(true) } as unknown as RecordStore
  const restored = MembershipLog.restore(id, [...mesh.records.values()], sodium)
  const log = new LogKeeper({ log: restored, records, sodium, now: () => 1_700_000_100_000 })
  let [sequence, quiet] = [1, false]
  const vector = () => [{ incarnation: 'aa'.repeat(16) as IncarnationId, sequence, hash: 'bb'.repeat(32) as BlockHash }]
  const name = { agent, layer: 'session' }
  const document = () =>
    ({
      name,
      counts: () => ({ received: sequence, registers: 0, texts: 0 }),
      vector: vector(),
      digest: () => new Uint8Array(32),
    }) as unknown as Document
  const taker = new Taker({
    node: office.id,
    signKey: office.keys.secretKey,
    sodium,
    log,
    store: { noteUntold: async () => undefined },
    documents: { names: () => [name], open: async () => document() },
    quietly: async <T>(work: () => Promise<T>): Promise<T> => {
      quiet = true
      const done = await work()
      quiet = false
      return done
    },
    taken: () => undefined,
  } as unknown as TakerDeps)

  // Another record has its turn in the log, and meanwhile a block comes.
  const before = log.append(
    async () => {
      sequence = 2
      return { type: 'sync', agent, term: log.mesh.agents.get(agent)!.term!.record, members: [office.id] }
    },
    { type: 'node', node: office.id },
    office.keys.secretKey,
  )
  const taken = taker.byLog(agent, 'test')
  await before.catch(() => undefined)
  const { body } = await taken
  expect(body).toMatchObject({ type: 'assign', basis: [{ layer: 'session', vector: vector() }] })
  expect(quiet).toBe(false)
})
