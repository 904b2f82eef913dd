import * as fs from 'node:fs'
import * as path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { withDoubles } from '../processes/doubles.ts'
import { until } from '../processes/wait.ts'
import {
  AGENT,
  endTrialMesh,
  mayAct,
  restart,
  rowOf,
  startTrialMesh,
  type TrialMesh,
  untilMay,
} from '../failover/trial-mesh.ts'
import { DETAIN } from './detained.ts'
import { leftIn, reportsIn, sealmesh } from './drill-commands.ts'

/** Switchover drills between two real nodes: there and back, and what is said when the way back is cut. */

let mesh: TrialMesh
let detain: string
const homeAt = (): string => mesh.household.home.home
const officeAt = (): string => mesh.household.office.home
const drill = () => sealmesh('drill', 'run', AGENT, '--kind', 'switchover', '--home', officeAt())

describe.each(['auto', 'manual'] as const)('of an agent that is %s', (mode) => {
  beforeAll(async () => {
    mesh = await startTrialMesh(`switchover-${mode}`, mode, mode === 'auto' ? 'fast' : undefined)
  })
  afterAll(() => endTrialMesh(mesh))

  test('it is green, under the terms that follow, and the holder acts again', async () => {
    for (let at = 0; at < 40; at++)
      await mesh.home.call('set', { umr: `${AGENT}.session.fact-${at}`, value: String(at) })
    const { code, last, failure } = await drill()
    expect(failure).toBeUndefined()
    expect(last).toMatchObject({ passed: true, kind: 'switchover', standby: 'office', holder: 'home', next: null })
    expect(code).toBe(0)
    expect(await rowOf(mesh.home)).toMatchObject({ term: 3, holder: 'home', may: true })
    expect(await mayAct(mesh.office)).toBe(false)
    await mesh.home.call('set', { umr: `${AGENT}.session.after`, value: '1' })
  })

  test('both signed the same bytes: phases of both ways, nothing missing, equal digests; nothing is left', async () => {
    const [[home], [office]] = [reportsIn(homeAt()), reportsIn(officeAt())]
    expect(home?.text).toBe(office?.text)
    const { report, signatures } = office!.filed
    expect(signatures).toHaveLength(2)
    const { rto, moved, point, holderAfter } = report.facts
    for (const phases of [rto, moved?.back?.phases]) {
      expect(phases).toMatchObject({ detectMs: null, decideMs: null })
      const { freezeMs, drainMs, acquireMs, catchUpMs, activateMs, firstActMs } = phases!
      for (const ms of [freezeMs, acquireMs, catchUpMs, activateMs, firstActMs]) expect(ms).toBeGreaterThanOrEqual(0)
      // Without a register nobody says when all is receipted.
      expect(drainMs === null).toBe(mode === 'manual')
    }
    expect(moved).toMatchObject({ stopped: null, heldBy: report.holder.id, there: { missing: 0 } })
    expect([point.term.number, moved?.there?.term.number, moved?.back?.term.number]).toEqual([1, 2, 3])
    const digests = (stands: readonly { layer: string; digest: string }[]) =>
      stands.map(({ layer, digest }) => [layer, digest])
    expect(digests(moved?.there?.layers ?? [])).toEqual(digests(point.layers))
    expect(digests(holderAfter?.layers ?? [])).toEqual(digests(point.layers))
    expect(office?.page).toContain('## Where it is now')
    for (const at of [homeAt(), officeAt()]) expect(leftIn(at)).toEqual([])
  })
})

describe('that goes wrong', () => {
  beforeAll(async () => {
    detain = path.join(fs.mkdtempSync('/tmp/sealmesh-detain-'), 'now')
    mesh = await startTrialMesh('switchover-cut', 'auto', 'fast', {
      ...withDoubles({ '../drills/drills.js': new URL('./detained.ts', import.meta.url) }),
      [DETAIN]: detain,
    })
  })
  afterAll(async () => {
    await endTrialMesh(mesh)
    fs.rmSync(path.dirname(detain), { recursive: true, force: true })
  })

  test('is refused during an incident, and then nothing was moved', async () => {
    await mesh.home.call('release', {})
    const { code, failure } = await drill()
    expect(failure).toMatchObject({ code: 'DRILL_REFUSED' })
    expect(code).toBe(4)
    await mesh.home.call('release', { undo: true })
    await until('one of them acts', async () => (await mayAct(mesh.home)) || (await mayAct(mesh.office)))
    if (!(await mayAct(mesh.home))) await mesh.office.call('handover', { agent: AGENT })
    await untilMay(mesh.home)
  })

  test('the holder dies in the middle: red, one signature, who has it and what to type; that command helps', async () => {
    const before = (await rowOf(mesh.home)).term
    fs.writeFileSync(detain, '')
    const drilling = drill()
    await untilMay(mesh.office)
    await mesh.household.home.kill()
    fs.rmSync(detain)
    const { code, last, failure } = await drilling
    expect(code).toBe(7)
    expect(failure?.code).toBe('DRILL_FAILED')
    const next = 'on home: sealmesh up; then on office: sealmesh handover claude --to home'
    expect(last).toMatchObject({ passed: false, next })
    const failed = (last?.['failed'] ?? []) as { name: string; actual: string }[]
    expect(failed.find(({ name }) => name === 'right to act')?.actual).toContain(
      `the standby has it, term ${before + 1}`,
    )
    const { filed, page } = reportsIn(officeAt()).at(-1)!
    expect(filed.signatures).toHaveLength(1)
    expect(page).toContain(`office holds claude, term ${before + 1}. **Next: ${next}**`)
    const { last: keys } = await sealmesh('drill', 'keys', '--home', officeAt())
    fs.writeFileSync(path.join(path.dirname(detain), 'keys.json'), JSON.stringify(keys))
    const verified = await sealmesh(
      'drill',
      'verify',
      String(last?.['file']),
      '--keys',
      path.join(path.dirname(detain), 'keys.json'),
      '--home',
      '/nowhere',
    )
    expect(verified).toMatchObject({ code: 0, last: { passed: false } })
    expect(leftIn(officeAt())).toEqual([])
    expect(await sealmesh('status', '--home', officeAt())).toMatchObject({ code: 7, failure: { code: 'DRILL_FAILED' } })
    // The standby goes on acting meanwhile.
    expect(await mayAct(mesh.office)).toBe(true)

    mesh.household = { ...mesh.household, home: await restart(mesh.household.home) }
    const home = await mesh.household.home.door()
    await until('home knows', async () => (await rowOf(home)).term === before + 1)
    await until(
      'it is handed back',
      async () => (await sealmesh('handover', AGENT, '--to', 'home', '--home', officeAt())).code === 0,
    )
    await untilMay(home)
    // The next one follows the red one, at both.
    expect(await drill()).toMatchObject({ code: 0, last: { passed: true, number: Number(last?.['number']) + 1 } })
  })
})
