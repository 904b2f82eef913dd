import { describe, expect, test } from 'vitest'
import { type Facts, judge } from './judge.ts'

const NOW_MS = Date.UTC(2027, 0, 10)
const DAY_MS = 86_400_000
const status = { status: 'ok', version: '1.0.0', startedMs: NOW_MS - DAY_MS, near: [] } as unknown as NonNullable<
  Facts['relay']
>
const well: Facts = {
  nowMs: NOW_MS,
  nodeVersion: 'v20.19.0',
  version: '1.0.0',
  dataPath: '/var/lib/relay',
  dataExists: true,
  wide: [],
  config: { path: '/var/lib/relay/relay.toml', exists: true, problems: null },
  freeBytes: 10 * 2 ** 30,
  fsyncMs: 2,
  writtenMs: NOW_MS - 1_000,
  relay: status,
  refusal: null,
  openFilesMax: 65_536,
  connectionsMax: 10_000,
  certificate: { fromMs: 0, untilMs: NOW_MS + 90 * DAY_MS, own: false },
  local: { at: 'http://127.0.0.1:1', answers: true, ready: true },
  dialled: { at: 'https://relay.example.org', answers: true, ready: true },
  isUnit: true,
}
const found = (facts: Partial<Facts>) =>
  judge({ ...well, ...facts })
    .filter(({ state }) => state !== 'ok')
    .map(({ name, state }) => `${state} ${name}`)

test('a machine that is well passes every check', () => {
  expect(found({})).toEqual([])
  expect(judge(well).map(({ name }) => name)).toEqual([
    ...['node', 'data', 'config', 'disk', 'fsync', 'clock', 'certificate', 'relay', 'files', 'port', 'address'],
    'systemd',
  ])
})

describe('what is not well is said', () => {
  test.each<[Partial<Facts>, string[]]>([
    [{ nodeVersion: 'v20.18.9' }, ['fail node']],
    [{ nodeVersion: 'v18.20.0' }, ['fail node']],
    [{ wide: [{ path: '/k', mode: '0644' }] }, ['fail data']],
    [{ config: { path: '/c', exists: true, problems: '/c:1 x' } }, ['fail config']],
    [{ freeBytes: 70 * 2 ** 20 }, ['fail disk']],
    [{ freeBytes: 500 * 2 ** 20 }, ['warn disk']],
    [{ freeBytes: null, fsyncMs: null }, []],
    [{ fsyncMs: 80 }, ['warn fsync']],
    [{ writtenMs: NOW_MS + DAY_MS }, ['fail clock']],
    [{ certificate: { fromMs: NOW_MS + DAY_MS, untilMs: NOW_MS + 99 * DAY_MS, own: true } }, ['fail clock']],
    [{ certificate: { fromMs: 0, untilMs: NOW_MS + 20 * DAY_MS, own: false } }, ['warn certificate']],
    [{ certificate: { fromMs: 0, untilMs: NOW_MS - 2 * DAY_MS, own: true } }, ['fail certificate']],
    [{ relay: null, local: null, dialled: null, isUnit: null }, ['fail relay']],
    [{ relay: { ...status, status: 'disk full' } }, ['fail relay']],
    [{ relay: { ...status, version: '0.9.0' } }, ['warn version']],
    [{ relay: { ...status, near: [{ limit: 'mesh_bytes_max', mesh: 'ab', used: 9, max: 10 }] } }, ['warn limits']],
    [{ openFilesMax: 1_024 }, ['warn files']],
    [{ local: { at: 'x', answers: false, ready: false } }, ['fail port']],
    [{ dialled: { at: 'x', answers: false, ready: false } }, ['warn address']],
    [{ isUnit: false }, ['warn systemd']],
  ])('%j', (facts, expected) => {
    expect(found(facts)).toEqual(expected)
  })

  test('each with what to do', () => {
    const checks = judge({ ...well, freeBytes: 1, wide: [{ path: '/k', mode: '0644' }], relay: null, isUnit: false })
    for (const { state, next } of checks) expect(next === null).toBe(state === 'ok')
  })
})
