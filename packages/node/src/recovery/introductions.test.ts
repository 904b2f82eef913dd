import type { NodeId } from '@sealmesh/protocol/ids'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { expect, test } from 'vitest'
import { Introductions } from './introductions.ts'

const here = 'here' as NodeId
const away = 'away' as NodeId
const removed = 'removed' as NodeId
const mesh = {
  nodes: new Map([here, away, removed].map((id) => [id, { id, revocations: id === removed ? ['record'] : [] }])),
} as unknown as Mesh
const START = Date.UTC(2026, 10, 1)
const SECOND = 1_000
const DAY = 24 * 60 * 60 * SECOND

function scene(introduced: Record<string, number> = {}) {
  const introductions = new Introductions(here, introduced)
  const due = (atMs: number, heardAtMs: number | null, bytes = 10_000) =>
    introductions.due(mesh, new Map([[away, heardAtMs]]), atMs, bytes).map(({ id }) => id)
  return { introductions, due }
}

test('who was never heard is told soon, who was heard when it has been silent for longer than a heartbeat', () => {
  const { introductions, due } = scene()
  expect(due(START + DAY, null)).toEqual([])
  introductions.live(START, false)
  expect(due(START + 1 * SECOND, null)).toEqual([])
  expect(due(START + 2 * SECOND, null)).toEqual([away])
  expect(due(START + 19 * SECOND, START - DAY)).toEqual([])
  expect(due(START + 20 * SECOND, START - DAY)).toEqual([away])
  expect(due(START + 60 * SECOND, START + 50 * SECOND)).toEqual([])
  introductions.down()
  expect(due(START + DAY, null)).toEqual([])
})

test('once for each silence, once a week, and again after the relay forgot', () => {
  const { introductions, due } = scene()
  introductions.live(START, false)
  introductions.introduced(away, START + 20 * SECOND)
  expect(due(START + DAY, START)).toEqual([])
  expect(due(START + 8 * DAY, START)).toEqual([away])
  // It spoke, and is silent once more.
  expect(due(START + DAY, START + 30 * SECOND)).toEqual([away])
  introductions.live(START + DAY, true)
  expect(due(START + DAY + 20 * SECOND, START)).toEqual([away])
})

test('a restart tells nobody a second time', () => {
  const first = scene()
  first.introductions.live(START, false)
  first.introductions.introduced(away, START + 20 * SECOND)
  const { introductions, due } = scene(first.introductions.kept(mesh))
  introductions.live(START + 60 * SECOND, false)
  expect(due(START + DAY, START)).toEqual([])
  expect(due(START + DAY, START + 40 * SECOND)).toEqual([away])
})

test('what the relay refused waits for five minutes or the next connection', () => {
  const { introductions, due } = scene()
  introductions.live(START, false)
  introductions.introduced(away, START + 20 * SECOND)
  introductions.refused(away, START + 21 * SECOND)
  expect(due(START + 30 * SECOND, null)).toEqual([])
  expect(due(START + 330 * SECOND, null)).toEqual([away])
  introductions.live(START + 40 * SECOND, false)
  expect(due(START + 50 * SECOND, null)).toEqual([away])
})

test('a member that falls silent again and again is not sent a long log each time', () => {
  const { introductions, due } = scene()
  introductions.live(START, false)
  introductions.introduced(away, START + 20 * SECOND)
  const later = (hours: number, bytes: number) => due(START + hours * 3_600 * SECOND, START + 60 * SECOND, bytes)
  expect([later(0.1, 10_000), later(1, 1_000_000), later(2, 1_000_000)]).toEqual([[away], [], [away]])
  expect([later(24, 40_000_000), later(72, 40_000_000)]).toEqual([[], [away]])
})
