import { fromHex } from '@sealmesh/protocol/bytes'
import type { SlotId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { hashOfBlob, SLOT_BLOB_BYTES, slotMessage } from '@sealmesh/protocol/wire/slot'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestMesh } from './mesh.ts'
import { type RunningRelay, startRelay, temporaryDirectory, TestLink } from './running-relay.ts'

/** A real relay, and two nodes that want the same slot. */
const SLOT = '5a'.repeat(32) as SlotId
const ROUNDS = 40
const directory = temporaryDirectory()
let sodium: Sodium
let relay: RunningRelay
let links: TestLink[] = []
const blobOf = (what: string): Uint8Array => new Uint8Array(Buffer.alloc(SLOT_BLOB_BYTES, what))
const hashOf = (blob: Uint8Array | null) => (blob === null ? null : hashOfBlob(blob, sodium))
let mesh: TestMesh
const open = async (): Promise<void> => {
  const members = [
    mesh.member('alice', { admin: true, ...(relay.claim === null ? {} : { code: relay.claim }) }),
    mesh.member('bob'),
  ]
  links = []
  for (const member of members) {
    const link = new TestLink(relay.address, member, sodium)
    links.push(link)
    await link.live()
  }
}

beforeAll(async () => {
  sodium = await loadSodium()
  mesh = new TestMesh(sodium, 'slots')
  relay = await startRelay(directory.data)
  await open()
})
afterAll(async () => {
  for (const { link } of links) await link.close()
  await relay.program.kill()
  directory.remove()
})

test('of two that set it at once one succeeds, each time, and both read the same', async () => {
  let there: Uint8Array | null = null
  for (let round = 0; round < ROUNDS; round++) {
    const expected = hashOf(there)
    const answers = await Promise.all(
      links.map(({ link }, at) =>
        link.slot({ type: 'setSlot', slot: SLOT, expected, leastAgeMs: 0, blob: blobOf(`${round} by ${at}. `) }),
      ),
    )
    expect(answers.map(({ receipt }) => receipt.result).toSorted()).toEqual(['differs', 'set'])
    const seen = await Promise.all(links.map(({ link }) => link.slot({ type: 'readSlot', slot: SLOT })))
    const winner = answers.findIndex(({ receipt }) => receipt.result === 'set')
    there = blobOf(`${round} by ${winner}. `)
    for (const { blob, receipt } of [...seen, ...answers]) {
      expect(blob).toEqual(there)
      expect(receipt.counter).toBe(round + 1)
      expect(sodium.verify(receipt.signature, slotMessage(receipt), fromHex(receipt.relay) as never)).toBe(true)
    }
  }
})

test('what was answered outlives a killed relay; its age begins anew', async () => {
  const [first] = links
  const before = await first!.link.slot({ type: 'readSlot', slot: SLOT })
  await relay.program.kill()
  for (const { link } of links) await link.close()
  relay = await startRelay(directory.data)
  await open()
  const after = await links[0]!.link.slot({ type: 'readSlot', slot: SLOT })
  expect(after.blob).toEqual(before.blob)
  expect(after.receipt.counter).toBe(before.receipt.counter)
  const expected = hashOf(after.blob)
  const early = await links[1]!.link.slot({
    type: 'setSlot',
    slot: SLOT,
    expected,
    leastAgeMs: 3_600_000,
    blob: blobOf('x'),
  })
  expect(early.receipt.result).toBe('young')
  expect(early.receipt.ageMs).toBeLessThan(3_600_000)
  const due = await links[1]!.link.slot({ type: 'setSlot', slot: SLOT, expected, leastAgeMs: 0, blob: blobOf('x') })
  expect(due.receipt).toMatchObject({ result: 'set', counter: before.receipt.counter + 1 })
})
