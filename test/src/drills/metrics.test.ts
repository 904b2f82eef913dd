import { metricsOf, SERIES_MAX } from '@sealmesh/node/status/metrics'
import type { Status } from '@sealmesh/protocol/ipc/methods'
import { expect, test } from 'vitest'
import { parseMetrics, type Series } from './prometheus.ts'
import { FACTS } from './sample.ts'

const AT = '2026-11-20T03:00:00.000Z'
const agentNamed = (name: string, id = name): Status['agents'][number] => ({
  agent: `agent_${id}`,
  name,
  hosts: ['home', 'office'],
  holder: 'home',
  term: 3,
  holdsHere: false,
  durability: { policy: 'available', syncSet: null, left: [], level: null, copies: null, means: 'nothing yet' },
  layers: [
    {
      layer: 'a-layer-that-is-nobodys-business',
      registers: 1,
      texts: 0,
      conflicts: 0,
      late: 2,
      merged: 0,
      held: 0,
      setAside: 0,
      blocks: 3,
      damaged: false,
    },
  ],
})

const STATUS: Status = {
  version: '0.1.0',
  home: '/home/someone/secret-path',
  pid: 4711,
  startedAt: AT,
  node: { id: 'node_ab', name: 'office', incarnation: 'cd' },
  mesh: { id: 'mesh_ab', name: 'ours', nodes: 2, records: 9 },
  relays: [
    {
      relay: 'relay_ab',
      address: 'wss://relay.example#x',
      state: 'live',
      reason: null,
      nextTryAt: null,
      since: null,
      tls: 'authorities',
      proxy: null,
      unanswered: 0,
    },
  ],
  peers: ['node_cd', 'node_ef'].map((node) => ({
    node,
    name: 'home',
    state: 'sending',
    toSend: 12,
    toReceive: 0,
    lastHeardAt: AT,
    documentsBehind: 1,
    oldestUnsentAt: AT,
    lagSeconds: 90,
    refused: null,
  })),
  agents: [agentNamed('claude')],
  summary: 'syncing',
  warnings: [{ code: 'HOME_ROLLED_BACK', message: 'words "of" somebody\nelse' }],
  findings: [],
  editing: [],
  direct: { listening: null, lan: 'off', links: [], peers: [] },
  snapshots: { vaultAt: null, fileAt: null, failed: null },
  drills: [
    {
      agent: 'claude',
      last: { number: 4, at: AT, passed: false, kind: 'kill', rto: { ...FACTS.rto, detectMs: 15_700 }, missing: 2 },
      failure: null,
      dueAt: '2026-11-21T03:00:00.000Z',
      overdue: true,
    },
    {
      agent: 'codex',
      last: null,
      failure: { at: AT, code: 'DRILL_FAILED', message: 'm' },
      dueAt: null,
      overdue: false,
    },
  ],
}

const valueOf = (all: readonly Series[], name: string, labels: Series['labels'] = {}): number | undefined =>
  all.find(
    (each) =>
      each.name === `sealmesh_${name}` && Object.entries(labels).every(([key, value]) => each.labels[key] === value),
  )?.value

test('what status knows is in the text, under the names of docs/metrics.md', () => {
  const all = parseMetrics(metricsOf(STATUS))
  const claude = { agent: 'claude' }
  expect(valueOf(all, 'home_rolled_back')).toBe(1)
  expect(valueOf(all, 'relay_live')).toBe(1)
  expect(valueOf(all, 'agent_holder', { ...claude, holder: 'home' })).toBe(1)
  expect(valueOf(all, 'agent_held_here', claude)).toBe(0)
  expect(valueOf(all, 'agent_late_blocks', claude)).toBe(2)
  expect(valueOf(all, 'peer_blocks_to_send', { peer: 'node_cd' })).toBe(12)
  expect(valueOf(all, 'peer_lag_seconds', { peer: 'node_ef' })).toBe(90)
  expect(valueOf(all, 'drill_last_run_timestamp_seconds', { ...claude, kind: 'kill' })).toBe(Date.parse(AT) / 1_000)
  expect(valueOf(all, 'drill_last_passed', claude)).toBe(0)
  expect(valueOf(all, 'drill_overdue', claude)).toBe(1)
  expect(valueOf(all, 'drill_missing_blocks', claude)).toBe(2)
  expect(valueOf(all, 'drill_rto_seconds', { ...claude, phase: 'detect' })).toBe(15.7)
  expect(valueOf(all, 'drill_rto_seconds', { ...claude, phase: 'catch_up' })).toBe(0.12)
  expect(valueOf(all, 'drill_rto_seconds', { ...claude, phase: 'freeze' })).toBeUndefined()
  expect(valueOf(all, 'drill_no_report', { agent: 'codex' })).toBe(1)
  expect(valueOf(all, 'drill_last_passed', { agent: 'codex' })).toBeUndefined()
})

test('labels are bounded, told apart and escaped; nothing of paths, layers or messages is in them', () => {
  const many = Array.from({ length: SERIES_MAX + 40 }, (_, at) => agentNamed(`agent-${at}`))
  const text = metricsOf({ ...STATUS, agents: [agentNamed('same', '1'), agentNamed('same', '2'), ...many] })
  const all = parseMetrics(text)
  expect(valueOf(all, 'agent_term', { agent: 'agent_1' })).toBe(3)
  expect(valueOf(all, 'series_left_out')).toBe(42)
  expect(new Set(all.flatMap(({ labels }) => labels['agent'] ?? [])).size).toBeLessThanOrEqual(
    SERIES_MAX + STATUS.drills.length,
  )
  for (const secret of ['secret-path', 'business', 'relay.example', 'somebody', '4711'])
    expect(text).not.toContain(secret)
  const odd = parseMetrics(metricsOf({ ...STATUS, agents: [agentNamed('a"b\\c\nd')] }))
  expect(valueOf(odd, 'agent_term', { agent: 'a"b\\c\nd' })).toBe(3)
})

test('the reader refuses what Prometheus would refuse', () => {
  const text = metricsOf(STATUS)
  const first = text.split('\n').slice(0, 3).join('\n')
  for (const broken of [
    text.slice(0, -1),
    text.replace('# TYPE sealmesh_info gauge\n', ''),
    `${text}${first}\n`,
    text.replace('agent="claude"', 'agent=claude'),
    text.replace(' 15.7', ' soon'),
  ])
    expect(() => parseMetrics(broken)).toThrow()
})
