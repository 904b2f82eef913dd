import { connect } from 'node:net'
import { join } from 'node:path'
import { Patterns } from '@sealmesh/agent/patterns/patterns'
import { textForm } from '@sealmesh/protocol/messages/text-form'
import { expect, onTestFinished, test } from 'vitest'
import { runVerb } from '../cli/run-verb.ts'
import { until } from '../processes/wait.ts'
import { agentsNode } from './agents-node.ts'

const started = async (names: readonly string[], config?: string) => {
  const node = await agentsNode(names, config === undefined ? {} : { config })
  return { node, cli: (...words: string[]) => runVerb([...words, '--home', node.home]) }
}

const QUESTION = ['--question', 'Deploy today?', '--options', 'yes, no', '--as', 'alice'] as const

test('a vote is called, cast and counted by the command line alone', async () => {
  const { node, cli } = await started(['alice', 'bob', 'carol', 'dan'])
  const running = cli('vote', 'bob', 'carol', 'dan', ...QUESTION, '--id', 'v1', '--deadline', '60')
  const waiting = async (name: string) => (await cli('vote', 'ls', '--json', '--as', name)).out.includes('"v1"')
  await until('the vote is called', () => waiting('alice'))
  // As a script that reads its inbox first.
  const inbox = JSON.parse((await cli('inbox', '--as', 'bob', '--wait', '20', '--json')).out)
  expect(inbox.messages[0]).toMatchObject({ type: 'vote-call', payload: { vote: 'v1', options: ['yes', 'no'] } })
  expect(await cli('vote', 'cast', 'v1', 'yes', '--as', 'bob')).toMatchObject({
    exit: 0,
    out: 'counts: yes (recorded)\n',
  })
  expect(await cli('vote', 'cast', 'v1', 'no', '--as', 'bob')).toMatchObject({
    exit: 10,
    out: 'counts: yes (voted-already)\n',
  })
  // As one that does not.
  expect(await cli('vote', 'cast', 'v1', 'maybe', '--as', 'carol')).toMatchObject({
    exit: 2,
    err: expect.stringContaining('yes, no'),
  })
  expect(await cli('vote', 'cast', 'v1', '--as', 'carol')).toMatchObject({ exit: 2 })
  expect(await cli('vote', 'cast', 'v1', '--abstain', '--as', 'carol', '--json')).toMatchObject({
    exit: 0,
    out: expect.stringContaining('"counts":true'),
  })
  const patterns = await Patterns.start(await node.attach('dan'), { voter: { decide: async () => 'yes' } })
  onTestFinished(() => patterns.close())
  const { exit, out } = await running
  expect([exit, out.split('\n').slice(0, 3).sort()]).toEqual([0, ['  bob: yes', '  carol: abstains', '  dan: yes']])
  expect(out).toContain('decided: yes (yes 2, no 0; 1 abstained, 0 missing)')
  expect(JSON.parse((await cli('vote', 'show', 'v1', '--json')).out).record).toMatchObject({
    told: true,
    outcome: { decision: 'yes' },
  })
  expect(await cli('vote', 'ls')).toMatchObject({ exit: 0, out: '' })
  expect((await cli('vote', 'ls', '--all')).out).toMatch(/\nv1 +alice +3\/3 .* yes +Deploy today\?\n$/)
  expect(await cli('vote', 'cast', 'v9', 'yes', '--as', 'bob')).toMatchObject({ exit: 5 })
})

test('a vote that was broken off is gone on with; without a quorum there is no decision, and an exit code that says so', async () => {
  const { cli, node } = await started(['alice', 'bob'])
  const stop = new AbortController()
  const broken = runVerb(['vote', 'bob', ...QUESTION, '--id', 'v1', '--deadline', '1', '--home', node.home], {
    signal: stop.signal,
    onOutput: (_, err) => err.includes('is called') && stop.abort(),
  })
  expect(await broken).toMatchObject({ exit: 130 })
  await until('alice is free again', async () => (await cli('agents', 'show', 'alice')).out.includes('away'))
  const { exit, out, err } = await cli('vote', 'wait', 'v1', '--as', 'alice')
  expect([exit, out]).toEqual([10, expect.stringContaining('no decision: no-quorum')])
  expect(err).toContain('NO_OUTCOME')
  expect(await cli('vote', 'alice', ...QUESTION)).toMatchObject({
    exit: 2,
    err: expect.stringContaining('VALUE_INVALID'),
  })
  expect(await cli('vote', 'bob')).toMatchObject({ exit: 2, err: expect.stringContaining('--question') })
  expect(await cli('vote')).toMatchObject({ exit: 2 })
})

test('a shell script votes by its text pipe, with JSON as the body and what it answers in the header', async () => {
  const { node, cli } = await started(['alice', 'bob'], '[agents.bob]\npipes = true\n')
  const pipe = (name: string) => connect(join(node.home, 'run', 'pipes', `bob_${name}.sock`))
  let heard = ''
  const inbox = pipe('private').on('data', (text) => (heard += text.toString()))
  onTestFinished(() => void inbox.destroy())
  const running = cli('vote', 'bob', ...QUESTION, '--id', 'v1', '--deadline', '60')
  await until('bob is asked', () => heard.includes('vote-call'))
  expect(heard).toMatch(/TYPE:vote-call\|ID:[^|]+\|RE:v1\|FORM:json\]\n\{"vote":"v1"/)
  const vote = { from: 'bob', to: 'alice', priority: 1, type: 'vote', id: undefined, re: 'v1', form: 'json' } as const
  pipe('public').end(textForm({ ...vote, body: '{"vote":"v1","choice":"no"}' }))
  expect((await running).out).toContain('decided: no')
  let answer = ''
  pipe('public')
    .on('data', (text) => (answer += text.toString()))
    .end(textForm({ ...vote, body: '{"vote":' }))
  await until('it is refused', () => answer.includes('\n'))
  expect(answer).toBe('ERROR VALUE_INVALID the body is no JSON\n')
})

test('an auction is called and won by the command line alone', async () => {
  const { cli } = await started(['alice', 'bob', 'carol'])
  const bid = (name: string, price: string) =>
    cli('auction', 'bid', '--price', price, '--capability', 'render', '--as', name, '--timeout', '30', '--json')
  const [bob, carol] = [bid('bob', '3'), bid('carol', '2')]
  await until(
    'both wait',
    async () =>
      (await cli('agents', 'show', 'bob')).out.includes('render') &&
      (await cli('agents', 'show', 'carol')).out.includes('render'),
  )
  const sold = await cli(
    'auction',
    'render scene 42',
    '--capability',
    'render',
    '--as',
    'alice',
    '--id',
    'a1',
    '--deadline',
    '1',
  )
  expect([sold.exit, sold.out]).toEqual([0, expect.stringContaining('sold to carol; called by alice, for render')])
  expect(await carol).toMatchObject({ exit: 0, out: expect.stringContaining('"won":true,"auction":"a1"') })
  expect(await bob).toMatchObject({ exit: 10, err: expect.stringContaining('carol has won') })
  expect((await cli('auction', 'ls', '--all')).out).toMatch(/\na1 +alice +sold +2 +carol .* render scene 42\n$/)
  expect((await cli('auction', 'show', 'a1')).out).toContain('  bob: 3, load 0 of 1')
  const none = await cli('auction', 'x', '--capability', 'swim', '--as', 'alice', '--deadline', '100ms')
  expect(none).toMatchObject({
    exit: 10,
    out: expect.stringContaining('unsold'),
    err: expect.stringContaining('NO_OUTCOME'),
  })
  expect(await cli('auction', 'bid', '--price', 'x')).toMatchObject({ exit: 2 })
})
