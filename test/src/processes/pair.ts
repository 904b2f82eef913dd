import { BIN, runProgram } from './program.ts'
import { NodeProcess, type NodeOptions } from './node.ts'
import { until } from './wait.ts'

/** Lets `joiner`, a home that belongs to no mesh, join through a real link, and starts its node. */
export async function pairNodes(inviter: NodeProcess, joiner: NodeOptions): Promise<NodeProcess> {
  await inviter.untilStatus('connected', ({ relays }) => relays.some(({ state }) => state === 'live'))
  const door = await inviter.door()
  const { link } = await door.call('pair.start', { autoConfirm: true })
  if (link === null) throw new Error('pairing gave no link')
  const args = ['join', link, '--home', joiner.home, '--name', joiner.name, '--json']
  const options = { name: `${joiner.name} joining`, ...(joiner.env ? { env: joiner.env } : {}) }
  const { exit, program } = await runProgram(joiner.bin ?? BIN.node, args, options)
  if (exit.code !== 0) throw new Error(`joining failed: ${program.describe()}`)
  await until('the inviter has seen the pairing through', async () => {
    const { state, error } = await door.call('pair.status', {})
    if (error) throw new Error(`pairing failed: ${error.code} ${error.message}`)
    return state === 'done'
  })
  await door.close()
  const { home, name, env, bin } = joiner
  return await NodeProcess.start({ home, name, ...(env ? { env } : {}), ...(bin === undefined ? {} : { bin }) })
}

/** Grants layers of an agent and waits until both sides say that nothing is left to send. */
export async function shareLayers(
  from: NodeProcess,
  agent: string,
  layers: readonly string[],
  to: string,
): Promise<void> {
  const door = await from.door()
  await door.call('share.set', { agent, changes: layers.map((layer) => ({ layer, to })) })
  await door.close()
}

export async function untilInSync(...nodes: readonly NodeProcess[]): Promise<void> {
  for (const node of nodes) await node.untilStatus('in sync', ({ summary }) => summary === 'in sync')
}
