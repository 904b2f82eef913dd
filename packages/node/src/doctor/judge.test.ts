import type { Status } from '@sealmesh/protocol/ipc/methods'
import { expect, test } from 'vitest'
import { type Facts, judge } from './judge.ts'

const NOW = Date.parse('2026-11-22T12:00:00Z')

const running = {
  version: '1',
  pid: 4711,
  startedAt: '2026-11-22T11:00:00.000Z',
  warnings: [],
  relays: [{ address: 'wss://r#relay=1', state: 'live' }],
  peers: [{ name: 'office', toSend: 0, lagSeconds: null }],
  summary: 'in sync',
} as unknown as Status

const WELL: Facts = {
  nowMs: NOW,
  nodeVersion: 'v20.19.0',
  version: '1',
  home: '/h',
  homeExists: true,
  isSetUp: true,
  wide: [],
  config: { path: '/h/config.toml', problems: null },
  socket: { bytes: 40, bytesMax: 103 },
  freeBytes: 8_589_934_592,
  fsyncMs: 2,
  writtenMs: NOW - 1_000,
  logBytes: 1_000,
  running,
  refusal: null,
  relays: [{ at: 'wss://r', reason: null, next: '' }],
  isUnit: true,
  entries: [{ client: 'codex', name: 'sealmesh', agent: 'a', file: '/c', isThere: true, hasToken: true }],
}
const stale = WELL.entries[0]!
const lagging = { ...running, peers: [{ name: 'office', toSend: 7, lagSeconds: 7_200 }] } as unknown as Status

test('where all is well there is nothing to do', () => {
  const checks = judge(WELL)
  expect(checks.filter(({ state, next }) => state !== 'ok' || next !== null)).toEqual([])
  const names = ['program', 'home', 'config', 'socket', 'disk', 'clock', 'node', 'relay', 'machines', 'systemd', 'mcp']
  expect(checks.map(({ name }) => name)).toEqual(names)
})

test.each<[string, Partial<Facts>, 'warn' | 'fail', string, string]>([
  ['program', { nodeVersion: 'v18.2.0' }, 'fail', 'too old', 'install Node.js'],
  ['home', { isSetUp: false }, 'fail', 'no mesh', 'sealmesh up'],
  ['home', { wide: [{ path: '/h/keys', mode: '0755' }] }, 'fail', 'others can reach /h/keys', 'chmod go= /h/keys'],
  ['config', { config: { path: '/c', problems: 'line 3' } }, 'fail', 'line 3', 'sealmesh config check'],
  ['socket', { socket: { bytes: 120, bytesMax: 103 } }, 'warn', '120 of 103', '--home DIR'],
  ['disk', { freeBytes: 1_048_576 }, 'fail', '1 MiB free', 'free some space'],
  ['disk', { freeBytes: 524_288_000 }, 'warn', '500 MiB free', 'free some space'],
  ['disk', { fsyncMs: 80 }, 'warn', '80 ms', 'look at the disk'],
  ['log', { logBytes: 536_870_912 }, 'warn', '512 MiB', 'sealmesh down'],
  ['clock', { writtenMs: NOW + 600_000 }, 'fail', '10 min from now', 'set the clock'],
  [
    'node',
    { running: null, refusal: { code: 'X', message: 'gone', next: 'sealmesh up' } },
    'fail',
    'gone',
    'sealmesh up',
  ],
  ['version', { version: '2' }, 'warn', '1 runs, 2 is installed', 'sealmesh down'],
  ['relay', { relays: [] }, 'warn', 'none', 'sealmesh up --relay'],
  ['relay', { relays: [{ at: 'wss://r', reason: 'RELAY_UNREACHABLE', next: 'look' }] }, 'fail', 'not reached', 'look'],
  ['machines', { running: lagging }, 'warn', 'office lacks 7 blocks, for 2 h', 'sealmesh diff office'],
  ['systemd', { isUnit: false }, 'warn', 'no unit', 'systemctl'],
  ['mcp', { entries: [{ ...stale, isThere: false }] }, 'warn', 'gone from /c', 'sealmesh mcp uninstall codex'],
  ['mcp', { entries: [{ ...stale, hasToken: false }] }, 'fail', 'no token', 'sealmesh mcp install codex --agent a'],
])('%s: %j is said, with what to do', (name, facts, state, found, next) => {
  const said = judge({ ...WELL, ...facts }).filter((check) => check.name === name && check.state !== 'ok')
  expect(said).toEqual([{ name, state, found: expect.stringContaining(found), next: expect.stringContaining(next) }])
})

test('what the node itself warns of is said with its next step', () => {
  const warned = { ...running, warnings: [{ code: 'DISK_FULL', message: 'no room' }] } as unknown as Status
  expect(judge({ ...WELL, running: warned })).toContainEqual({
    name: 'node',
    state: 'warn',
    found: 'DISK_FULL: no room',
    next: expect.stringContaining('free some space'),
  })
})
