import { Patterns } from '@sealmesh/agent/patterns/patterns'
import { expect, onTestFinished, test } from 'vitest'
import { runVerb } from '../cli/run-verb.ts'
import { until } from '../processes/wait.ts'
import { type AgentsNode, agentsNode } from './agents-node.ts'

const started = async (...names: string[]) => {
  const node = await agentsNode(names)
  return { node, cli: (...words: string[]) => runVerb([...words, '--home', node.home]) }
}

async function worker(node: AgentsNode, name: string, handle: () => Promise<string>): Promise<void> {
  const patterns = await Patterns.start(await node.attach(name), {
    worker: { capabilities: ['build'], capacity: 2, handle },
  })
  onTestFinished(() => patterns.close())
}

const slow = (onBegin: () => void) => () => {
  onBegin()
  return new Promise<string>(() => undefined)
}

test('a person gives a task to an agent, sees it done, and finds it again', async () => {
  const { node, cli } = await started('alice', 'bob')
  await worker(node, 'bob', async () => 'a shed')
  const added = await cli(
    'task',
    'add',
    'build a shed',
    '--capability',
    'build',
    '--as',
    'alice',
    '--id',
    's1',
    '--wait',
    '20',
    '--payload',
    '{"wood":12}',
  )
  expect([added.exit, added.out]).toEqual([
    0,
    expect.stringContaining('done, by bob, attempt 1; asked by alice, for build'),
  ])
  expect(added.out).toContain('result "a shed"')
  expect(await cli('task', 'ls')).toMatchObject({ exit: 0, out: '', err: expect.stringContaining('--all') })
  expect((await cli('task', 'ls', '--all')).out).toMatch(/^ID .*\ns1 +alice +done +bob +1 .* build a shed\n$/)
  const { record } = JSON.parse((await cli('task', 'show', 's1', '--json')).out)
  expect(record).toMatchObject({ id: 's1', state: 'done', doneBy: 'bob', payload: { wood: 12 } })
  expect(await cli('task', 'show', 'nothing')).toMatchObject({
    exit: 5,
    err: expect.stringContaining('ITEM_NOT_FOUND'),
  })
  expect(await cli('task', 'show', 'a.b')).toMatchObject({ exit: 2 })
  expect(await cli('task', 'reassign', 's1')).toMatchObject({ exit: 2, err: expect.stringContaining('done') })
})

test('a task that nobody can do waits, and the one who asked goes on with it later', async () => {
  const { node, cli } = await started('alice', 'bob')
  const waited = await cli(
    'task',
    'add',
    'a hut',
    '--capability',
    'build',
    '--as',
    'alice',
    '--id',
    'h1',
    '--wait',
    '100ms',
  )
  expect(waited).toMatchObject({ exit: 10, err: expect.stringContaining('sealmesh task wait h1 --as alice') })
  expect((await cli('task', 'ls', '--as', 'alice', '--json')).out).toContain('"state":"open"')
  await worker(node, 'bob', async () => 'a hut')
  expect(await cli('task', 'wait', 'h1', '--as', 'alice', '--timeout', '20')).toMatchObject({ exit: 0 })
  const failed = await cli(
    'task',
    'add',
    'late',
    '--capability',
    'swim',
    '--as',
    'alice',
    '--within',
    '50ms',
    '--wait',
    '20',
  )
  expect(failed).toMatchObject({ exit: 10, err: expect.stringContaining('NO_OUTCOME') })
  expect(failed.out).toContain('because Not done in time')
})

test('a task is given to somebody else by the owner alone, where no program is the one who asked', async () => {
  const { node, cli } = await started('alice', 'bob', 'carol')
  let began = false
  await worker(
    node,
    'bob',
    slow(() => (began = true)),
  )
  expect(await cli('task', 'add', 'a shed', '--capability', 'build', '--as', 'alice', '--id', 's1')).toMatchObject({
    exit: 0,
  })
  await until('bob is at work', () => began)
  await worker(node, 'carol', async () => 'done by carol')
  const { exit, out } = await cli('task', 'reassign', 's1', '--to', 'carol', '--json')
  expect(exit).toBe(0)
  expect(JSON.parse(out).record).toMatchObject({ assigned: ['bob', 'carol'], prefer: 'carol' })
  expect((await cli('task', 'wait', 's1', '--as', 'alice', '--timeout', '20')).out).toContain('result "done by carol"')
})

test('a program that is the one who asked hears of it, and does it itself', async () => {
  const { node, cli } = await started('alice', 'bob', 'carol')
  const alice = await Patterns.start(await node.attach('alice'))
  onTestFinished(() => alice.close())
  let began = false
  await worker(
    node,
    'bob',
    slow(() => (began = true)),
  )
  const task = await alice.tasks.open({ id: 's1', title: 'a shed', capability: 'build', payload: null })
  await until('bob is at work', () => began)
  await worker(node, 'carol', async () => 'done by carol')
  expect(await cli('task', 'add', 'x', '--capability', 'build', '--as', 'alice')).toMatchObject({
    exit: 9,
    err: expect.stringContaining('AGENT_ATTACHED'),
  })
  expect(await cli('task', 'reassign', 's1', '--to', 'bob')).toMatchObject({ exit: 2 })
  expect(await cli('task', 'reassign', 's1', '--to', 'carol')).toMatchObject({
    exit: 0,
    out: expect.stringMatching(/^s1: (assigned|done), ?carol|^s1: done/),
  })
  expect(await task.settled).toMatchObject({ state: 'done', doneBy: 'carol', attempt: 2 })
})

test('an asker whose program knows nothing of tasks is told in vain, and that is said', async () => {
  const { node, cli } = await started('alice', 'bob')
  await worker(
    node,
    'bob',
    slow(() => undefined),
  )
  await cli('task', 'add', 'a shed', '--capability', 'build', '--as', 'alice', '--id', 's1')
  await node.attach('alice')
  expect(await cli('task', 'reassign', 's1', '--timeout', '200ms')).toMatchObject({
    exit: 10,
    err: expect.stringContaining('was told'),
  })
})
