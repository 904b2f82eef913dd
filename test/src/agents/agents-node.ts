import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Agent, AttachOptions } from '@sealmesh/agent/client/agent'
import { type AgentsConnection, connectAgents } from '@sealmesh/agent/client/connect-agents'
import { type RunningNode, startNode } from '@sealmesh/node/main'
import type { MethodInput, MethodName, MethodResult } from '@sealmesh/protocol/ipc/methods'
import type { Delivery, Right } from '@sealmesh/protocol/ipc/agent-methods'
import { onTestFinished } from 'vitest'
import { RawClient } from '../ipc/fake-node.ts'
import { temporaryFolder } from '../keys/temporary-home.ts'

/** A whole node in this process, with a mesh of its own and agents that have tokens. */
export interface AgentsNode {
  readonly home: string
  readonly node: RunningNode
  readonly socketPath: string
  readonly tokens: ReadonlyMap<string, string>
  owner<M extends MethodName>(method: M, params: MethodInput<M>): Promise<MethodResult<M>>
  /** A grant: `to` as `share set` takes it, so a name, or `name:write`. */
  share(agent: string, layer: string, to: string): Promise<unknown>
  /** A token with fewer rights, in place of the agent's own. */
  token(name: string, rights: readonly Right[]): Promise<string>
  connect(): Promise<AgentsConnection>
  /** On a connection of its own. */
  attach(name: string, options?: Partial<AttachOptions>): Promise<Agent>
  raw(): Promise<RawClient>
  restart(): Promise<void>
}

export async function agentsNode(
  names: readonly string[],
  options: { readonly config?: string } = {},
): Promise<AgentsNode> {
  const home = join(await temporaryFolder(), 'home')
  await mkdir(home, { mode: 0o700 })
  if (options.config !== undefined) await writeFile(join(home, 'config.toml'), options.config)
  const start = () => startNode({ home, name: 'home', agent: names[0] ?? 'alice', relay: 'none', logLevel: 'error' })
  let node = await start()
  onTestFinished(() => node.close())
  const context = { notify: () => undefined, signal: new AbortController().signal }
  const owner = async <M extends MethodName>(method: M, params: MethodInput<M>): Promise<MethodResult<M>> =>
    (node.handlers[method] as unknown as (params: unknown, client: unknown) => Promise<MethodResult<M>>)(
      params,
      context,
    )
  const tokens = new Map<string, string>()
  const token = async (name: string, rights?: readonly Right[]): Promise<string> => {
    const made = await owner('agents.token', { name, action: 'rotate', ...(rights ? { rights: [...rights] } : {}) })
    tokens.set(name, made.token ?? '')
    return made.token ?? ''
  }
  for (const [at, name] of names.entries()) {
    if (at > 0) await owner('agents.add', { name, standby: [] })
    await token(name)
  }
  const socketPath = join(home, 'run', 'agents', 'sealmesh-agents.sock')
  const connect = async () => {
    const connection = await connectAgents({ home })
    onTestFinished(() => connection.close())
    return connection
  }
  return {
    home,
    get node() {
      return node
    },
    socketPath,
    tokens,
    owner,
    share: (agent, layer, to) => owner('share.set', { agent, changes: [{ layer, to }], newLayer: true }),
    token,
    connect,
    attach: async (name, attach = {}) => (await connect()).attach({ token: tokens.get(name) ?? '', ...attach }),
    raw: async () => {
      const raw = await RawClient.open(socketPath)
      onTestFinished(() => raw.destroy())
      return raw
    },
    restart: async () => {
      await node.close()
      node = await start()
    },
  }
}

/** Everything that comes, in order. */
export function collect(agent: Agent): { readonly got: Delivery[]; count(wanted: number): Promise<void> } {
  const got: Delivery[] = []
  const wakers = new Set<() => void>()
  agent.onDelivery((delivery) => {
    got.push(delivery)
    for (const wake of wakers) wake()
  })
  return {
    got,
    count: (wanted) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (got.length < wanted) return
          wakers.delete(look)
          resolve()
        }
        wakers.add(look)
        look()
      }),
  }
}
