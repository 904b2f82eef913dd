import { serveMcp, type ServeOptions } from '@sealmesh/node/mcp/serve'
import { onTestFinished } from 'vitest'
import type { AgentsNode } from '../agents/agents-node.ts'
import type { Address } from './servers.ts'

/** `sealmesh mcp --http 0` of an agent in this process; ended with the test. */
export async function served(node: AgentsNode, name: string, more: Partial<ServeOptions> = {}): Promise<Address> {
  const ended = new AbortController()
  const token = node.tokens.get(name) ?? ''
  let done: Promise<void> = Promise.resolve()
  const url = await new Promise<string>((resolve, reject) => {
    const ready: ServeOptions['ready'] = (how) => resolve(how.url ?? '')
    const options = { home: node.home, token, port: 0, allowance: () => ({}), signal: ended.signal, ready, ...more }
    done = serveMcp(options)
    done.catch(reject)
  })
  onTestFinished(async () => {
    ended.abort()
    await done
  })
  return { url, token }
}
