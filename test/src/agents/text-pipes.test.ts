import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../processes/wait.ts'
import { type AgentsNode, agentsNode, collect } from './agents-node.ts'

const CONFIG = '[agents.script]\npipes = true\n'

async function open(node: AgentsNode, name: string): Promise<{ socket: Socket; said: () => string }> {
  const socket = connect(join(node.home, 'run', 'pipes', name))
  onTestFinished(() => void socket.destroy())
  let said = ''
  socket.on('data', (chunk) => (said += chunk.toString()))
  await once(socket, 'connect')
  return { socket, said: () => said }
}

/** What `printf … | socat - UNIX-CONNECT:…` does. */
async function tell(node: AgentsNode, name: string, text: string): Promise<string> {
  const { socket, said } = await open(node, name)
  socket.end(text)
  await once(socket, 'close')
  return said()
}

test('a script sends with a line of header, and reads what comes for it', async () => {
  const node = await agentsNode(['script', 'bob'], { config: CONFIG })
  const bob = await node.attach('bob')
  const inbox = collect(bob)
  const header = '[FROM:script|TO:bob|PRIORITY:2|TYPE:question|ID:q-1]'
  const text = `${header}\nhow\nare you?\n===END_MESSAGE===\n${header}\nagain\n===END_MESSAGE===\n`
  expect(await tell(node, 'script_public.sock', text)).toBe('OK q-1 delivered\nOK q-1 delivered\n')
  await inbox.count(1)
  expect(inbox.got[0]?.message).toMatchObject({
    from: 'script@home',
    id: 'q-1',
    type: 'question',
    priority: 2,
    payload: 'how\nare you?',
  })

  await bob.send({ to: 'script', type: 'response', id: 'a-1', payload: 'fine' })
  const reading = await open(node, 'script_private.sock')
  await until('both have come', () => reading.said().split('===END_MESSAGE===').length === 3)
  expect(reading.said()).toMatch(/^\[FROM:script\|TO:script\|PRIORITY:1\|TYPE:status\]\n\{.*"state":"away"/)
  expect(reading.said()).toContain('[FROM:bob|TO:script|PRIORITY:1|TYPE:response|ID:a-1]\nfine\n===END_MESSAGE===\n')
  await expect(node.attach('script')).rejects.toMatchObject({ code: 'AGENT_ATTACHED' })
  reading.socket.destroy()
  // Acknowledged when the pipe took it, so nobody gets it twice.
  const script = await until('the pipe has left', () => node.attach('script', { inbox: 'pull' }))
  expect((await script.take()).deliveries).toEqual([])
})

test('nobody speaks by text for an agent whose owner has not allowed it, nor without a header, nor for ever', async () => {
  const node = await agentsNode(['script', 'bob'], { config: CONFIG })
  const inbox = collect(await node.attach('bob'))
  const message = (header: string) => `${header}\nx\n===END_MESSAGE===\n`
  const say = (text: string) => tell(node, 'script_public.sock', text)
  for (const name of ['bob', 'nobody'])
    expect(await say(message(`[FROM:${name}|TO:bob]`))).toMatch(/^ERROR AGENT_UNKNOWN/)
  expect(await say(message('[FROM:script|TO:nobody]'))).toMatch(/^ERROR AGENT_UNKNOWN/)
  expect(await say('GET / HTTP/1.1\n')).toMatch(/^ERROR USAGE/)
  expect(await say(`[FROM:script|TO:bob]\n${'x\n'.repeat(100_000)}`)).toMatch(/^ERROR VALUE_TOO_LARGE/)
  await expect(stat(join(node.home, 'run', 'pipes', 'bob_public.sock'))).rejects.toMatchObject({ code: 'ENOENT' })
  expect((await stat(join(node.home, 'run', 'pipes'))).mode & 0o777).toBe(0o700)
  await node.token('script', ['read'])
  expect(await say(message('[FROM:script|TO:bob]'))).toMatch(/^ERROR AGENT_UNKNOWN/)
  expect(inbox.got).toEqual([])
})
