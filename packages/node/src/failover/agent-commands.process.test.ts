import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'

const BUILT = new URL('../../dist/failover/agent-commands.js', import.meta.url).href
/** Says who it is, started by a wrapper that outlives no signal, and takes no notice of being asked to end. */
const AGENT = `trap "" TERM; echo "agent $$"; while :; do sleep 0.05; done`
const LINE = ['/bin/sh', '-c', `/bin/sh -c '${AGENT}' & wait`]
const NODE = `
  import { AgentCommands } from '${BUILT}'
  const info = ({ output }) => output && process.stdout.write(output)
  const line = ${JSON.stringify(LINE)}
  const commands = new AgentCommands({ of: () => ({ on_active: line }), env: process.env, logger: { info, warn: info } })
  commands.gained('claude', 1, 'token')
  setInterval(() => {}, 1_000)
`

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('what acts for an agent dies with the node that gave it the right, even one that is killed', async () => {
  const node = spawn(process.execPath, ['--input-type=module', '-e', NODE], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [said] = (await once(createInterface({ input: node.stdout }), 'line')) as [string]
  const agent = Number(/^agent (\d+)$/.exec(said)?.[1])
  expect(isAlive(agent)).toBe(true)
  node.kill('SIGKILL')
  await once(node, 'exit')
  for (let tries = 0; tries < 200 && isAlive(agent); tries++) await pause(50)
  expect(isAlive(agent)).toBe(false)
})
