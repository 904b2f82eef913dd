import type { Agent } from '@sealmesh/agent/client/agent'
import { connectAgents } from '@sealmesh/agent/client/connect-agents'
import { Patterns } from '@sealmesh/agent/patterns/patterns'
import type { DoorClient } from '@sealmesh/node/ipc/client'
import type { TaskRecord } from '@sealmesh/protocol/messages/task'
import { expect, onTestFinished, test } from 'vitest'
import { endTrialMesh, restart, startTrialMesh } from '../failover/trial-mesh.ts'
import type { NodeProcess } from '../processes/node.ts'
import { until } from '../processes/wait.ts'

const TASK = 'claude.tasks.task.shed'

test('an open task survives its worker’s machine, and its asker’s machine, which records nothing when it is back', {
  timeout: 120_000,
}, async () => {
  const mesh = await startTrialMesh('tasks', 'manual')
  onTestFinished(() => endTrialMesh(mesh))
  await mesh.home.call('share.set', { agent: 'claude', changes: [{ layer: 'tasks', to: 'standby' }], newLayer: true })
  for (const [door, name] of [
    [mesh.home, 'ada'],
    [mesh.office, 'bob'],
  ] as const)
    await door.call('agents.add', { name, standby: [] })

  // Ada has it, and never ends.
  const handle = () => new Promise(() => undefined)
  await started(mesh.household.home, mesh.home, 'ada', { worker: { capabilities: ['build'], capacity: 1, handle } })
  const claudeAtHome = await attach(mesh.household.home, mesh.home, 'claude')
  const atHome = await Patterns.start(claudeAtHome)
  await atHome.tasks.open({ id: 'shed', title: 'a shed', capability: 'build', payload: { wood: 12 } })
  // All that home will write of it: what it had not sent would come back as a second value.
  await until('ada has accepted it, and the office knows', async () => {
    const record = await taskAt(mesh.office)
    return record?.assignee === 'ada' && record.history.some(({ event }) => event === 'accepted')
  })
  await mesh.household.home.kill()

  await mesh.office.call('takeover', { agent: 'claude', reason: 'home is gone' })
  const done = async ({ payload }: { payload: unknown }) => ({ by: 'bob', payload })
  const worker = { capabilities: ['build'], capacity: 1, handle: done }
  await started(mesh.household.office, mesh.office, 'bob', { worker })
  // Ada is on no machine that claude sees now.
  const heartbeats = { everyMs: 100, suspectMs: 300, lostMs: 600 }
  await started(mesh.household.office, mesh.office, 'claude', { heartbeats })
  await until('it is done', async () => (await taskAt(mesh.office))?.state === 'done')
  const record = await taskAt(mesh.office)
  expect(record).toMatchObject({ doneBy: 'bob', result: { ok: true, value: { by: 'bob', payload: { wood: 12 } } } })

  // The machine of before comes back, and its program with it.
  mesh.household = { ...mesh.household, home: await restart(mesh.household.home) }
  const home = await mesh.household.home.door()
  await until('home knows the new term', async () => {
    const { agents } = await home.call('failover.status', { agent: 'claude' })
    return agents[0]?.may === false
  })
  const stale = await attach(mesh.household.home, home, 'claude')
  await expect(stale.write(TASK, JSON.stringify({ ...record, doneBy: 'ada' }))).rejects.toMatchObject({
    code: 'NOT_THE_HOLDER',
  })
  await until('home has what counts', async () => (await taskAt(home))?.state === 'done')
  for (const door of [home, mesh.office]) {
    expect(await taskAt(door)).toEqual(record)
    expect((await door.call('conflicts.ls', {})).conflicts).toEqual([])
  }
})

async function attach(node: NodeProcess, door: DoorClient, name: string): Promise<Agent> {
  const { token } = await door.call('agents.token', { name, action: 'rotate' })
  const connection = await connectAgents({ home: node.home, patienceMs: 1_000 })
  onTestFinished(() => connection.close())
  return connection.attach({ token: token ?? '' })
}

async function started(
  node: NodeProcess,
  door: DoorClient,
  name: string,
  options: Parameters<typeof Patterns.start>[1],
) {
  const patterns = await Patterns.start(await attach(node, door, name), options)
  onTestFinished(() => patterns.close())
  return patterns
}

async function taskAt(door: DoorClient): Promise<TaskRecord | undefined> {
  const { item } = await door.call('get', { umr: TASK })
  return item?.type === 'register' ? (JSON.parse(item.value) as TaskRecord) : undefined
}
