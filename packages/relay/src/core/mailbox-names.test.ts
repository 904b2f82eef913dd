import { toHex } from '@sealmesh/protocol/bytes'
import { expect, test } from 'vitest'
import { mailboxNames } from './mailbox-names.ts'

test('every id is its own, also of those that share a place', () => {
  const nameAt = mailboxNames()
  const ids = Array.from({ length: 8 }, (_, i) => new Uint8Array(32).fill(i % 2, 0, 2).fill(i, 31))
  for (let round = 0; round < 3; round++) for (const id of ids) expect(nameAt(id, 0)).toBe(toHex(id))
})

test('a name is read where it lies, and does not change with the bytes that it was read from', () => {
  const nameAt = mailboxNames()
  const bytes = new Uint8Array(40).fill(7)
  const name = toHex(bytes.subarray(4, 36))
  expect(nameAt(bytes, 4)).toBe(name)
  bytes.fill(8, 20)
  expect(nameAt(bytes, 4)).toBe(toHex(bytes.subarray(4, 36)))
  expect(nameAt(new Uint8Array(32).fill(7), 0)).toBe(name)
})
