import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Agent } from '@sealmesh/agent/client/agent'
import { connectAgents } from '@sealmesh/agent/client/connect-agents'
import { expect, onTestFinished, test } from 'vitest'
import { temporaryFolder } from '../keys/temporary-home.ts'
import { NodeProcess } from '../processes/node.ts'
import { BIN, runProgram } from '../processes/program.ts'
import { until } from '../processes/wait.ts'
import { collect } from './agents-node.ts'

const KILLS = 3
const SENT_BEFORE_A_KILL = 150

test('durable messages that were answered survive kill -9, for agents that are away and for those that come back', async () => {
  const home = join(await temporaryFolder(), 'home')
  await mkdir(home, { mode: 0o700 })
  let node = await NodeProcess.start({ home, name: 'home', relay: 'none', agent: 'alice' })
  onTestFinished(() => node.stop())
  const cli = async (...words: string[]) => {
    const done = await runProgram(BIN.node, [...words, '--home', home], { name: words.join(' ') })
    expect(done.exit.code, done.program.stderr.toString()).toBe(0)
    return done.program.stdout.toString().trim()
  }
  for (const name of ['bob', 'carol']) await cli('agents', 'add', name)
  const tokens = new Map<string, string>()
  for (const name of ['alice', 'bob', 'carol']) tokens.set(name, await cli('agents', 'token', name))
  expect(await cli('agents', 'tokens')).toContain('receive')

  const connection = await connectAgents({ home })
  onTestFinished(() => connection.close())
  const attach = (name: string, inbox: 'push' | 'pull' = 'push'): Promise<Agent> =>
    connection.attach({ token: tokens.get(name) ?? '', inbox })
  const alice = await attach('alice')
  const carol = collect(await attach('carol'))

  const answered: string[] = []
  for (let kill = 0; kill < KILLS; kill++) {
    const wanted = answered.length + SENT_BEFORE_A_KILL
    let running = true
    const load = async (): Promise<void> => {
      for (let at = 0; running; at++) {
        const payload = `${kill}.${at}`
        try {
          await Promise.all(['bob', 'carol'].map((to) => alice.send({ to, type: 'text', payload, durable: true })))
          answered.push(payload)
        } catch (error) {
          // Those that were under way when the node died are not answered, and may or may not have been taken.
          expect(error).toMatchObject({ code: 'NODE_NOT_RUNNING' })
        }
      }
    }
    const loads = load()
    await until('enough is sent', () => answered.length >= wanted)
    await node.kill()
    running = false
    node = await NodeProcess.start({ home, name: 'home', relay: 'none' })
    await loads
  }
  const heard = () => new Set(carol.got.map(({ message }) => message.payload as string))
  await until('carol has all', () => answered.every((payload) => heard().has(payload)))

  const bob = await attach('bob', 'pull')
  const got: string[] = []
  for (;;) {
    const { deliveries } = await bob.take()
    if (deliveries.length === 0) break
    got.push(...deliveries.map(({ message }) => message.payload as string))
    await bob.acknowledge(deliveries.at(-1)?.place ?? 0)
  }
  expect(answered.filter((payload) => !got.includes(payload))).toEqual([])
  expect(await cli('agents', 'ls')).toMatch(/carol .*active/)
  expect(await cli('agents', 'show', 'bob')).toContain('attached since')
})
