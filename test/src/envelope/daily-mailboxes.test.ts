import { mailboxDay, mailboxOn, OwnMailboxes } from '@sealmesh/protocol/envelope/daily-mailboxes'
import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import { DAY_MS, OPEN_MAILBOXES_MAX, PREKEY_LIFE_MS, PREKEY_SKEW_MS } from '@sealmesh/protocol/limits'
import { loadSodium } from '@sealmesh/sodium/load'
import { expect, test } from 'vitest'
import { prekey, Scene } from '../membership/scene.ts'

const sodium = await loadSodium()
const ownOf = (fill: number): OwnMailboxes =>
  new OwnMailboxes(sodium.signKeys('login', new Uint8Array(32).fill(fill)).secretKey, sodium)
const own = ownOf(1)
const HOUR_MS = 60 * 60_000

test('whoever seals by a clock within an hour of the reader’s sends to a mailbox that it reads', () => {
  // At every hour of the day, so that each of the clocks is on either side of midnight somewhere.
  for (let hour = 0; hour < 24; hour++) {
    const notBeforeMs = 20_000 * DAY_MS + hour * HOUR_MS + 17
    const life = { notBeforeMs, expiresMs: notBeforeMs + PREKEY_LIFE_MS }
    const announced = { ...life, mailboxes: own.announced(life) }
    for (let atMs = notBeforeMs; atMs < life.expiresMs; atMs += 7 * HOUR_MS)
      for (const skewMs of [-PREKEY_SKEW_MS, 0, PREKEY_SKEW_MS]) {
        const senderMs = Math.min(atMs + skewMs, life.expiresMs - 1)
        const to = mailboxOn(announced, senderMs)
        expect(to !== undefined && own.ids(atMs).has(to)).toBe(true)
      }
  }
})

test('what was sent on one day is read for as long as packets live, in the order of days', () => {
  const startMs = 20_000 * DAY_MS + 5
  const life = { notBeforeMs: startMs, expiresMs: startMs + PREKEY_LIFE_MS }
  const to = mailboxOn({ ...life, mailboxes: own.announced(life) }, startMs)!
  for (let days = 0; days <= 28; days++) expect(own.ids(startMs + days * DAY_MS).has(to)).toBe(true)
  expect(own.ids(startMs + 29 * DAY_MS).has(to)).toBe(false)
  const opened = own.secrets(startMs).map((secret) => mailboxOf(secret, sodium))
  expect(opened).toEqual([...own.ids(startMs)])
  expect(opened.indexOf(to)).toBe(opened.length - 2)
  expect(opened.length).toBeLessThan(OPEN_MAILBOXES_MAX / 2)
})

test('two prekeys name one mailbox for one day, two days two, and two nodes have none in common', () => {
  const at = (startMs: number, of = own) => {
    const life = { notBeforeMs: startMs, expiresMs: startMs + PREKEY_LIFE_MS }
    return { ...life, mailboxes: of.announced(life) }
  }
  const [first, second] = [at(20_000 * DAY_MS), at(20_007 * DAY_MS)]
  expect(mailboxOn(first, 20_009 * DAY_MS)).toBe(mailboxOn(second, 20_009 * DAY_MS))
  const days = Array.from({ length: 28 }, (_, day) => mailboxOn(first, (20_000 + day) * DAY_MS))
  expect(new Set(days).size).toBe(28)
  const theirs = ownOf(2).ids(20_009 * DAY_MS)
  expect([...own.ids(20_009 * DAY_MS)].filter((id) => theirs.has(id))).toEqual([])
})

test('a prekey record has a mailbox for each of its days, no more and no fewer', () => {
  const scene = new Scene(sodium, 'daily mailboxes')
  const node = scene.machine('home')
  scene.found(node)
  const [notBeforeMs, expiresMs] = [20_000 * DAY_MS, 20_003 * DAY_MS]
  const body = prekey(node, notBeforeMs, expiresMs)
  if (body.type !== 'prekey') throw new Error(body.type)
  // The day before counts: a clock that is an hour behind is in it.
  expect(body.mailboxes.length / 32).toBe(mailboxDay(expiresMs) - mailboxDay(notBeforeMs) + 1)
  // What it signs is read again before it is anything.
  const signed = (mailboxes: Uint8Array) => scene.sign(node, { ...body, mailboxes })
  expect(signed(body.mailboxes).body).toEqual(body)
  for (const bytes of [0, 32, body.mailboxes.length - 32, body.mailboxes.length + 32])
    expect(() => signed(new Uint8Array(bytes))).toThrow('Broken invariant')
})
