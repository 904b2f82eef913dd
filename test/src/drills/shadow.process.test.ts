import * as fs from 'node:fs'
import * as path from 'node:path'
import type { Status } from '@sealmesh/protocol/ipc/methods'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { withDoubles } from '../processes/doubles.ts'
import { endHousehold, type Household, startHousehold } from '../processes/household.ts'
import { shareLayers, untilInSync } from '../processes/pair.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { sealmesh } from './drill-commands.ts'
import { type Fault, PLANT } from './planted.ts'
import { parseMetrics } from './prometheus.ts'

/** Shadow drills between two real nodes: a green report, and eight red ones. */

const WRITES = 120
let household: Household
let plant: string
const at = (...names: string[]): string => path.join(household.directory, ...names)

const drill = (...words: string[]) => sealmesh('drill', ...words, '--home', at('office'))

type Agents = Status['agents']
const standOf = async (): Promise<{ home: Agents; office: Agents }> => ({
  home: (await household.home.status()).agents,
  office: (await household.office.status()).agents,
})

beforeAll(async () => {
  plant = path.join(fs.mkdtempSync('/tmp/sealmesh-plant-'), 'fault')
  household = await startHousehold('drills', {
    ...withDoubles({ '../drills/drills.js': new URL('./planted.ts', import.meta.url) }),
    [PLANT]: plant,
  })
  const { home, office } = household
  const door = await home.door()
  await door.call('agents.add', { name: 'claude', standby: ['office'] })
  await shareLayers(home, 'claude', ['semantic', 'session', 'diary'], 'standby')
  for (let i = 0; i < WRITES; i++)
    await door.call('set', { umr: `claude.semantic.fact-${i}`, value: JSON.stringify(`value ${i}`) })
  await door.call('set', { umr: 'claude.session.turn', value: '"one"' })
  await door.call('set', { umr: 'claude.diary.monday', value: '"what nobody else is told"' })
  await door.call('set', { umr: 'claude.procedural.private', value: '"kept to itself"' })
  await shareLayers(home, 'claude', ['episodic'], 'standby:write')
  // Its holder never hears from it that it has what it wrote itself.
  await (await office.door()).call('set', { umr: 'claude.episodic.seen', value: '"by the standby"' })
  await untilInSync(home, office)
})

afterAll(async () => {
  await endHousehold(household)
  fs.rmSync(path.dirname(plant), { recursive: true, force: true })
})

describe('a drill in which all is well', () => {
  test('is green, leaves nothing of itself, and changes neither node', async () => {
    const before = await standOf()
    const { code, last } = await drill('run', 'claude')
    expect(last).toMatchObject({
      passed: true,
      number: 1,
      kind: 'shadow',
      standby: 'office',
      holder: 'home',
      failed: [],
    })
    expect(code).toBe(0)
    expect(await standOf()).toEqual(before)
    for (const node of ['home', 'office']) {
      const names = fs.readdirSync(at(node, 'drills'))
      expect(names.map((name) => path.extname(name)).toSorted()).toEqual(['.json', '.md'])
    }
  })

  test('leaves the same bytes at both nodes, and says nothing of what documents say', async () => {
    const [home = '', office = ''] = ['home', 'office'].map((node) => {
      const name = fs.readdirSync(at(node, 'drills')).find((each) => each.endsWith('.json')) ?? ''
      return fs.readFileSync(at(node, 'drills', name), 'utf8')
    })
    expect(home).toBe(office)
    for (const secret of ['value 7', 'kept to itself', 'what nobody else', 'procedural', 'fact-7'])
      expect(home).not.toContain(secret)
    expect(JSON.parse(home)).toMatchObject({
      report: { facts: { point: { notGranted: { named: [], others: 1 }, unacknowledged: [] } } },
    })
  })

  test('verifies offline with public keys alone; with a changed byte it does not', async () => {
    const { last: keys } = await sealmesh('drill', 'keys', '--home', at('home'))
    fs.writeFileSync(at('keys.json'), JSON.stringify(keys))
    const name = fs.readdirSync(at('office', 'drills')).find((each) => each.endsWith('.json')) ?? ''
    const verify = (file: string) =>
      sealmesh('drill', 'verify', file, '--keys', at('keys.json'), '--home', at('nowhere'))
    const file = at('office', 'drills', name)
    expect(await verify(file)).toMatchObject({
      code: 0,
      last: { agent: 'claude', passed: true, number: 1, previous: null },
    })
    const bytes = fs.readFileSync(file)
    for (const place of [1, bytes.length >> 1, bytes.length - 40]) {
      const changed = Buffer.from(bytes)
      changed[place]! ^= 1
      fs.writeFileSync(at('changed.json'), changed)
      expect(await verify(at('changed.json'))).toMatchObject({ code: 7, failure: { code: 'REPORT_INVALID' } })
    }
  })
})

const FAULTS: readonly (readonly [Fault, string])[] = [
  ['missing write', 'nothing acknowledged is missing'],
  ['flipped bit', 'signatures'],
  ['stale snapshot', 'digests'],
  ['wrong grant', 'layers'],
  ['lying clock', 'clocks'],
  ['expired prekey', 'prekeys'],
  ['lagging standby', 'point reached'],
  ['forged digest', 'digests'],
]

test.each(FAULTS)('%s turns the report red', async (fault, check) => {
  // The forged digest is the holder's, all else the standby's.
  fs.writeFileSync(plant, fault)
  try {
    const { code, last, failure } = await drill('run', 'claude')
    expect(last).toMatchObject({ passed: false })
    const failed = (last?.['failed'] ?? []) as { name: string }[]
    expect(failed.map(({ name }) => name)).toContain(check)
    expect(failure?.code).toBe('DRILL_FAILED')
    expect(code).toBe(7)
  } finally {
    fs.rmSync(plant, { force: true })
  }
})

test('the chain has no hole, status complains and has an exit code of its own; a green drill ends that', async () => {
  const { last: listing } = await drill('ls')
  const reports = listing?.['reports'] as { number: number; file: string; hash: string }[]
  expect(reports.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
  for (const [i, { file }] of reports.entries()) {
    const { report } = JSON.parse(fs.readFileSync(file, 'utf8')) as {
      report: { facts: { point: { previous: { hash: string } | null } } }
    }
    expect(report.facts.point.previous?.hash ?? null).toBe(reports[i - 1]?.hash ?? null)
  }
  expect(await sealmesh('status', '--home', at('office'))).toMatchObject({
    code: 7,
    failure: { code: 'DRILL_FAILED' },
    last: { drills: [{ agent: 'claude', last: { number: 9, passed: false }, overdue: false }] },
  })
  expect(await drill('run', 'claude')).toMatchObject({ code: 0, last: { number: 10, passed: true } })
  expect(await sealmesh('status', '--home', at('office'))).toMatchObject({ code: 0 })
})

test('metrics say the same, as Prometheus reads it', async () => {
  const { exit, program } = await runProgram(BIN.node, ['metrics', '--home', at('office')], { name: 'metrics' })
  expect(exit.code).toBe(0)
  const all = parseMetrics(program.stdout.toString())
  const valueOf = (name: string) => all.find((each) => each.name === name && each.labels['agent'] === 'claude')?.value
  expect(valueOf('sealmesh_drill_last_passed')).toBe(1)
  expect(valueOf('sealmesh_drill_missing_blocks')).toBe(0)
  expect(valueOf('sealmesh_drill_rto_seconds')).toBeGreaterThanOrEqual(0)
  // Each machine has an agent of its own beside.
  const holders = all.filter(({ name, labels }) => name === 'sealmesh_agent_holder' && labels['agent'] === 'claude')
  expect(holders.map(({ labels }) => labels['holder'])).toEqual(['home'])
})

test('a scheduled drill runs by itself', async () => {
  expect(await drill('schedule', 'claude', '--every', '1s')).toMatchObject({ code: 0 })
  await household.office.untilStatus('drilled again', ({ drills }) => (drills[0]?.last?.number ?? 0) >= 11)
  expect(await drill('schedule', 'claude', '--every', '7d', '--at', '03:00', '--kind', 'switchover')).toMatchObject({
    code: 0,
  })
  expect(fs.readFileSync(at('office', 'config.toml'), 'utf8')).toMatch(/kind *= *"switchover"/)
  const { drills } = await household.office.untilStatus(
    'not due soon',
    (status) => Date.parse(status.drills[0]?.dueAt ?? '') > Date.now() + 5 * 86_400_000,
  )
  expect(drills[0]).toMatchObject({ overdue: false })
})

test('the holder itself has no drill to run', async () => {
  expect(await sealmesh('drill', 'run', 'claude', '--home', at('home'))).toMatchObject({
    code: 4,
    failure: { code: 'DRILL_REFUSED' },
  })
})
