import { expect, test } from 'vitest'
import { ANNOUNCE_EVERY_MS, ANNOUNCEMENTS_A_SECOND, FOUND_A_MINUTE } from './direct-limits.ts'
import { LanWatch } from './lan-watch.ts'

const from = (instance: string) => ({ instance, port: 1, beacon: '' })
const members = { isNew: () => true, isMembers: () => true }

test('a node does not find itself, nor what it dials already, nor who only pretends', () => {
  const watch = new LanWatch('own')
  expect(watch.isWorthATry(from('own'), 0, members)).toBe(false)
  expect(watch.isWorthATry(from('a'), 0, { ...members, isNew: () => false })).toBe(false)
  expect(watch.isWorthATry(from('a'), 0, { ...members, isMembers: () => false })).toBe(false)
  expect(watch.isWorthATry(from('a'), 0, members)).toBe(true)
})

test('a flood of announcements is looked at in part, and costs few hashes', () => {
  const watch = new LanWatch('own')
  let hashes = 0
  const strangers = { isNew: () => true, isMembers: () => (hashes += 1) < 0 }
  for (let at = 0; at < 10_000; at++) watch.isWorthATry(from(`${at}`), 500, strangers)
  expect(hashes).toBe(ANNOUNCEMENTS_A_SECOND)
  expect(watch.isWorthATry(from('a'), 1_499, members)).toBe(false)
  expect(watch.isWorthATry(from('a'), 1_500, members)).toBe(true)
})

test('who repeats what members say makes a node dial a few times a minute at most', () => {
  const watch = new LanWatch('own')
  let dialled = 0
  for (let nowMs = 0; nowMs < 60_000; nowMs += 100)
    if (watch.isWorthATry(from(`${nowMs}`), nowMs, members)) dialled += 1
  expect(dialled).toBe(FOUND_A_MINUTE)
  expect(watch.isWorthATry(from('a'), 60_000, members)).toBe(true)
})

test('many questions have one answer', () => {
  const watch = new LanWatch('own')
  expect(watch.mayAnnounce(0)).toBe(true)
  expect(watch.mayAnnounce(ANNOUNCE_EVERY_MS - 1)).toBe(false)
  expect(watch.mayAnnounce(ANNOUNCE_EVERY_MS)).toBe(true)
})
