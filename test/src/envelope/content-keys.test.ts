import { ContentKeys } from '@sealmesh/protocol/envelope/seal'
import { CONTENT_KEY_REUSE_MS } from '@sealmesh/protocol/limits'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { Scene } from './scene.ts'

const sodium = await loadSodium()

function newKeys() {
  const scene = new Scene(sodium, 'content keys', 3)
  const [one, two] = [scene.member(1), scene.member(2)].map(({ mailbox, prekey }) => ({
    mailbox,
    prekey: prekey.publicKey,
  }))
  const keys = new ContentKeys()
  const take = (recipients: NonNullable<typeof one>[], nowMs: number) =>
    keys.take(recipients, nowMs, scene.random, sodium)
  return { scene, keys, take, one: one!, two: two! }
}

test('a content key serves the same recipients for less than a minute, in any order', () => {
  const { take, one, two } = newKeys()
  const first = take([one, two], 1_000)
  expect(take([two, one], 1_000 + CONTENT_KEY_REUSE_MS - 1)).toBe(first)
  const next = take([one, two], 1_000 + CONTENT_KEY_REUSE_MS)
  expect(next).not.toBe(first)
  expect(next.commitment).not.toEqual(first.commitment)
})

test('T-curious-5: other recipients, another prekey of one, or its mailbox of another day have another key', () => {
  const { scene, take, one, two } = newKeys()
  const both = take([one, two], 0)
  expect(take([one], 0).commitment).not.toEqual(both.commitment)
  const rotated = { ...one, prekey: sodium.sealKeys(scene.random(32)).publicKey }
  expect(take([rotated, two], 0).commitment).not.toEqual(both.commitment)
  const tomorrow = { ...one, mailbox: scene.member(0).mailbox }
  const [before, after] = [take([one], 0), take([tomorrow], 0)]
  expect(after.boxFor(one.prekey)).not.toEqual(before.boxFor(one.prekey))
})

test('a key that was erased encrypts nothing more: it is all zeros', () => {
  const { scene, keys, take, one } = newKeys()
  for (const erase of [() => keys.eraseAll(), () => keys.expire(CONTENT_KEY_REUSE_MS), () => keys.expire(-1)]) {
    const content = take([one], 0)
    const bytes = content.expose()
    erase()
    expect(bytes.every((byte) => byte === 0)).toBe(true)
    expect(() => scene.seal(scene.member(0), [scene.member(1)], { content })).toThrow('Broken invariant')
  }
})

test('as many sets of recipients are kept as there is room for, and the oldest is erased', () => {
  const { scene, take, one } = newKeys()
  const first = take([one], 0)
  for (let other = 0; other < 256; other++) take([{ ...one, prekey: sodium.sealKeys(scene.random(32)).publicKey }], 0)
  expect(() => first.expose()).toThrow('Broken invariant')
})
