import type { MeshId } from '@sealmesh/protocol/ids'
import { expect, test } from 'vitest'
import { type Drop, DropLog } from './drop-log.ts'

const drop = (reason: Drop['reason'], mesh = 'a', packets = 1): Drop => ({
  event: 'dropped',
  mesh: mesh as MeshId,
  reason,
  packets,
})

test('a flood of drops is one line a second for each mesh and reason, and none is left out of the sum', () => {
  const log = new DropLog()
  log.add(drop('QUOTA_BYTES'))
  expect(log.take(0)).toEqual([drop('QUOTA_BYTES')])
  for (let i = 0; i < 5_000; i++) log.add(drop('QUOTA_BYTES', 'a', 2))
  log.add(drop('QUOTA_BYTES', 'b'))
  log.add(drop('PACKET_EXPIRED'))
  expect(log.take(999)).toEqual([])
  expect(log.take(1_000)).toEqual([drop('QUOTA_BYTES', 'a', 10_000), drop('QUOTA_BYTES', 'b'), drop('PACKET_EXPIRED')])
  expect(log.take(2_000)).toEqual([])
})

test('what waits for its line has a bound', () => {
  const log = new DropLog()
  for (let i = 0; i < 1_000; i++) log.add(drop('QUOTA_BYTES', String(i)))
  expect(log.take(0)).toHaveLength(256)
})
