import { Failure } from '@sealmesh/protocol/errors'
import { MembershipLog } from '@sealmesh/protocol/membership/log'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { TestMesh } from '../documents/fixture.ts'
import type { RecordStore } from '../store/record-store.ts'
import { LogKeeper } from './log-keeper.ts'

test('a record that its disk did not take does not count, is asked for again, and counts once it is stored', async () => {
  const sodium = await loadSodium()
  const begun = new TestMesh(sodium)
  const restored = MembershipLog.restore(begun.id, [...begun.mesh.records.values()], sodium)
  let isFull = true
  const put = async () => {
    if (isFull) throw new Failure('DISK_FULL', 'for the test')
  }
  const records = { put } as unknown as RecordStore
  const log = new LogKeeper({ log: restored, records, sodium, now: () => 1_700_000_100_000 })
  const told: number[] = []
  log.onChange(({ agents }) => void told.push(agents.get(begun.agent)?.term?.number ?? 0))

  const record = begun.assign(2, begun.office)
  const before = log.mesh
  expect(before.agents.get(begun.agent)?.term?.number).toBe(1)
  await expect(log.receive([record.bytes])).rejects.toThrow('for the test')
  expect(log.mesh).toBe(before)
  expect(log.knows([record.hash])).toBe(false)
  expect(told).toEqual([])

  isFull = false
  expect(await log.receive([record.bytes])).toEqual({ added: 1, refused: 0 })
  expect(log.mesh.agents.get(begun.agent)?.term).toMatchObject({ number: 2, holder: begun.office.id })
  expect(log.knows([record.hash])).toBe(true)
  expect(told).toEqual([2])
})
