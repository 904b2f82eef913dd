import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import * as path from 'node:path'
import type { MailboxId, MeshId } from '@sealmesh/protocol/ids'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Operation } from '../core/event.ts'
import { Store } from './store.ts'

const MESH = 'aa'.repeat(32) as MeshId
const MAILBOX = 'bb'.repeat(32) as MailboxId
let directory: string
let store: Store
let persisted: number[]

beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'sealmesh-store-'))
  persisted = []
  const events = {
    onPersisted: (receipts: readonly number[]) => persisted.push(...receipts),
    onFailed: () => undefined,
    onTrouble: () => undefined,
    onGroup: () => undefined,
  }
  store = await Store.open(
    directory,
    events,
    () => 0,
    () => Promise.resolve(false),
  )
})
afterEach(async () => {
  await store.close()
  rmSync(directory, { recursive: true, force: true })
})

const put = (sequence: number, bytes: number): Operation => {
  const packet = new Uint8Array(bytes).fill(sequence)
  return { type: 'packet', mesh: MESH, mailbox: MAILBOX, sequence, expiresMs: 1, packet }
}
const drop = (sequence: number): Operation => ({ type: 'dropPacket', mesh: MESH, mailbox: MAILBOX, sequence })
const kept = async (): Promise<[number, number][]> => {
  const found = await store.read(MESH, MAILBOX, 1, 1_000)
  for (const { sequence, packet } of found) expect(packet.every((byte) => byte === (sequence & 255))).toBe(true)
  return found.map(({ sequence, packet }) => [sequence, packet.length])
}

test('batches of every size are durable, in order, and read back', async () => {
  store.persist([put(1, 100)], 1)
  await store.settle()
  // Large enough to go another way.
  for (let sequence = 2; sequence <= 40; sequence++) store.persist([put(sequence, 60_000)], sequence)
  store.persist([drop(3), drop(5)], null)
  await store.settle()
  store.persist([drop(1)], null)
  await store.settle()
  expect(persisted).toEqual(Array.from({ length: 40 }, (_, at) => at + 1))
  const expected = Array.from({ length: 39 }, (_, at) => [at + 2, 60_000])
  expect(await kept()).toEqual(expected.filter(([sequence]) => sequence !== 3 && sequence !== 5))
})
