import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { afterAll, expect, test } from 'vitest'
import { until } from '../processes/wait.ts'
import { AGENT, endTrialMesh, restart, rowOf, startTrialMesh, untilMay } from './trial-mesh.ts'

const scratch = mkdtempSync(path.join(os.tmpdir(), 'sealmesh-acting-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const code = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: unknown) => (error instanceof Failure ? error.code : String(error)),
  )

/** Says that it runs with which token, goes on for ever, and says when it is stopped. */
const program = (log: string): string[] => [
  process.execPath,
  '-e',
  `const say = (what) => require('fs').appendFileSync(${JSON.stringify(log)}, what + ' ' + process.env.SEALMESH_TERM + '\\n')
   say('on ' + (process.env.SEALMESH_TOKEN || '').slice(0, 4))
   process.on('SIGTERM', () => { say('off'); process.exit(0) })
   setInterval(() => {}, 1000)`,
]

test('what runs an agent is started where it may act and stopped where it may not, and a node that stops lets go first', async () => {
  const mesh = await startTrialMesh('acting', 'auto', 'fast')
  try {
    const log = path.join(scratch, 'log')
    const said = (): string => (existsSync(log) ? readFileSync(log, 'utf8') : '')
    for (const node of [mesh.household.home, mesh.household.office])
      appendFileSync(
        path.join(node.home, 'config.toml'),
        `[agents.${AGENT}]\non_active = ${JSON.stringify(program(log))}\n`,
      )
    await mesh.home.call('config.reload', {})
    await mesh.office.call('config.reload', {})
    await mesh.home.call('handover', { agent: AGENT })
    await until('it runs at the office', () => said().includes('on act_ 2'))
    await mesh.office.call('handover', { agent: AGENT })
    await until('it runs at home', () => said().includes('on act_ 3') && said().includes('off 2'))

    // Stopped in order, home lets go: the office need not wait for the lease to run out.
    const stoppedMs = performance.now()
    await mesh.household.home.stop()
    await untilMay(mesh.office)
    expect(performance.now() - stoppedMs).toBeLessThan(5_500)
    await until('it runs at the office again', () => said().includes('off 3') && said().includes('on act_ 4'))

    // A lease that was let go by hand is claimed again by hand, as nobody else was there to take it.
    expect(await mesh.office.call('release', {})).toEqual({ released: true })
    expect(await code(mesh.office.call('must-hold', { agent: AGENT }))).toBe('FENCED')
    expect(await code(mesh.office.call('set', { umr: `${AGENT}.session.x`, value: '1' }))).toBe('FENCED')
    const { warnings } = await mesh.office.call('status', {})
    expect(warnings.map((warning) => warning.code)).toContain('FENCED')
    await mesh.office.call('release', { undo: true })
    await untilMay(mesh.office)
    mesh.household = { ...mesh.household, home: await restart(mesh.household.home) }
  } finally {
    await endTrialMesh(mesh)
  }
})

test('a token is worth something until the term has passed, an act asked for twice shows, and a living holder is not taken from', async () => {
  const mesh = await startTrialMesh('token', 'auto', 'fast')
  try {
    const act = 'ab'.repeat(16)
    const { token } = await mesh.home.call('must-hold', { agent: AGENT, act })
    await mesh.home.call('must-hold', { agent: AGENT, act })
    const check = async () => (await mesh.office.call('must-hold.check', { token })).verdict
    expect(await check()).toBe('good')
    expect((await mesh.office.call('must-hold.check', { token: `${token}A` })).verdict).toBe('bad')

    expect(await code(mesh.office.call('takeover', { agent: AGENT }))).toBe('LEASE_RUNS')
    expect((await rowOf(mesh.home)).may).toBe(true)
    await mesh.office.call('takeover', { agent: AGENT, force: true, reason: 'I am standing beside it' })
    expect(await check()).toBe('passed')
    await until('home has heard of it', async () => !(await rowOf(mesh.home)).may || undefined)
    expect(await code(mesh.home.call('must-hold', { agent: AGENT }))).toBe('NOT_THE_HOLDER')

    const report = await mesh.home.call('reconcile', { agent: AGENT })
    expect(report.terms.map(({ number, holder }) => `${number} ${holder}`)).toEqual(['1 home', '2 office'])
    expect(report.acts).toMatchObject({ granted: 2, twice: [act], passed: [] })
    expect(report.layers.every(({ adds }) => adds)).toBe(true)
    expect(report.ok).toBe(false)
  } finally {
    await endTrialMesh(mesh)
  }
})
