import { Window } from '@sealmesh/node/mcp/window'
import { expect, onTestFinished, test } from 'vitest'
import { agentsNode } from '../agents/agents-node.ts'
import { stealAtRestart } from '../agents/thief.ts'
import { until, within } from '../processes/wait.ts'

test('a window whose messages another program took while the node started again has its memory all the same', async () => {
  const node = await agentsNode(['claude', 'codex'])
  const token = node.tokens.get('claude') ?? ''
  const window = await Window.open({ home: node.home, token, wantsMail: true, patienceMs: 1_000 })
  onTestFinished(() => window.close())
  const came: unknown[] = []
  window.onDelivery(async ({ message }) => void came.push(message.payload))
  expect(await window.claimMail()).toBe(true)

  const leave = await stealAtRestart(node, 'claude')
  const set = window.call('memory.set', { umr: 'claude.semantic.day', value: '"Tuesday"' })
  await within(set, 10_000, () => 'the memory waits for the messages')
  await until('it is known that others read them', async () => !(await window.claimMail()))
  expect(window.isBeside).toBe(true)
  expect(await window.call('memory.get', { umr: 'claude.semantic.day' })).toMatchObject({
    item: { value: '"Tuesday"' },
  })

  // And they come here again once that program is gone, without a call.
  await leave()
  const codex = await node.attach('codex')
  await until('a message comes', async () => {
    await codex.send({ to: 'claude', type: 'text', payload: 'hello' })
    return came.length > 0
  })
  expect(came[0]).toBe('hello')
})
