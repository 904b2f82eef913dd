import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
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
import { until } from '../processes/wait.ts'
import { leftIn, reportsIn, sealmesh } from './drill-commands.ts'

/** Kill drills between two real nodes: the holder's process really ends, and nobody tells the standby to take over. */

let mesh: TrialMesh
const homeAt = (): string => mesh.household.home.home
const officeAt = (): string => mesh.household.office.home
const drill = (...words: string[]) => sealmesh('drill', 'run', AGENT, '--kind', 'kill', ...words, '--home', officeAt())

/** As a service manager would, once the process is gone. */
async function startAgain(): Promise<void> {
  const { home } = mesh.household
  await until('home is gone', () => !home.program.running, 60_000)
  expect(home.program.child.signalCode).toBe('SIGKILL')
  mesh.household = { ...mesh.household, home: await restart(home) }
}

beforeAll(async () => {
  mesh = await startTrialMesh('kill-drill', 'auto', 'fast')
})
afterAll(() => endTrialMesh(mesh))

test('without the word of its config the holder is not killed, and of a manual agent it never is', async () => {
  const before = mesh.household.home.program.child.pid
  const { code, failure } = await drill()
  expect(failure).toMatchObject({ code: 'DRILL_REFUSED', message: expect.stringContaining('kill = true') as string })
  expect(code).toBe(4)
  expect(await sealmesh('config', 'set', `agents.${AGENT}.drill.kill`, 'true', '--home', homeAt())).toMatchObject({
    code: 0,
  })
  await mesh.home.call('failover.set', { agent: AGENT, mode: 'ask' })
  await until('office knows', async () => (await rowOf(mesh.office)).mode === 'ask')
  expect((await drill()).failure).toMatchObject({
    code: 'DRILL_REFUSED',
    message: expect.stringContaining('does not fail over by itself') as string,
  })
  await mesh.home.call('failover.set', { agent: AGENT, mode: 'auto' })
  await until('office knows', async () => (await rowOf(mesh.office)).mode === 'auto')
  expect([mesh.household.home.program.child.pid, mesh.household.home.program.running]).toEqual([before, true])
})

test('the holder is killed while it writes, the standby takes over, and gives it back when it returns', async () => {
  const written: string[] = []
  const write = async (kind: string, wait: 'local' | 'replicated', restMs: number): Promise<never> => {
    for (let at = 0; ; at++) {
      const umr = `${AGENT}.session.while-${kind}-${at}`
      const asked = wait === 'local' ? {} : { wait, timeoutMs: 5_000 }
      const { acknowledged } = await mesh.home.call('set', { umr, value: '1', ...asked })
      if (wait === 'local' || acknowledged?.done === true) written.push(umr)
      await pause(restMs)
    }
  }
  // The holder dies in a moment in which nothing that it acknowledged is its alone, on its own disk neither.
  const writing = Promise.allSettled([write('a', 'replicated', 0), write('b', 'local', 20)])
  const drilling = drill('--return-within', '40s')
  await startAgain()
  await writing
  const { code, last, failure } = await drilling
  expect(failure).toBeUndefined()
  expect(last).toMatchObject({ passed: true, kind: 'kill', holder: 'home', standby: 'office', next: null })
  expect(code).toBe(0)
  const home = await mesh.household.home.door()
  await untilMay(home)
  expect(await rowOf(home)).toMatchObject({ term: 3, holder: 'home', may: true })
  expect(await mayAct(mesh.office)).toBe(false)
  const { items } = await home.call('ls', { prefix: `${AGENT}.session.while-`, limit: 100_000 })
  const there = new Set(items.map(({ umr }) => umr))
  expect(written.filter((umr) => !there.has(umr))).toEqual([])
  expect(written.length).toBeGreaterThan(0)
})

test('its report has every phase, both signatures, and the same bytes at both; nothing is left', async () => {
  const [[home], [office]] = [reportsIn(homeAt()), reportsIn(officeAt())]
  expect(home?.text).toBe(office?.text)
  const { report, signatures } = office!.filed
  expect(signatures).toHaveLength(2)
  const { detectMs, decideMs, acquireMs, catchUpMs, activateMs, firstActMs, freezeMs } = report.facts.rto
  // A lease has to run out before anybody may take it.
  expect(detectMs).toBeGreaterThan(1_000)
  for (const ms of [decideMs, acquireMs, catchUpMs, activateMs, firstActMs]) expect(ms).toBeGreaterThanOrEqual(0)
  expect(freezeMs).toBeNull()
  expect(report.facts.moved).toMatchObject({ stopped: null, there: { missing: 0 }, heldBy: report.holder.id })
  for (const at of [homeAt(), officeAt()]) expect(leftIn(at)).toEqual([])
})

test('a holder that does not return in time: one signature, red, and what to type, which helps', async () => {
  const { code, last } = await drill('--return-within', '12s')
  expect(code).toBe(7)
  const next = 'on home: sealmesh up; then on office: sealmesh handover claude --to home'
  expect(last).toMatchObject({ passed: false, next })
  const { filed, page } = reportsIn(officeAt()).at(-1)!
  expect(filed.signatures).toHaveLength(1)
  expect(page).toContain(next)
  expect(await rowOf(mesh.office)).toMatchObject({ holder: 'office', term: 4, may: true })
  await startAgain()
  const home = await mesh.household.home.door()
  await until('home knows', async () => (await rowOf(home)).term === 4)
  await until(
    'it is handed back',
    async () => (await sealmesh('handover', AGENT, '--to', 'home', '--home', officeAt())).code === 0,
  )
  await untilMay(home)
})
