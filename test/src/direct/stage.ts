import * as fs from 'node:fs'
import * as path from 'node:path'
import type { NodeProcess, NodeOptions } from '../processes/node.ts'
import { until } from '../processes/wait.ts'
import { ask, valueAt } from '../links/ask.ts'

/** Gives a home that is not running a `[direct]` part; it counts from its next start. */
export function configure(home: string, lines: readonly string[]): void {
  fs.writeFileSync(path.join(home, 'config.toml'), `${['[direct]', ...lines].join('\n')}\n`, { mode: 0o600 })
}

export const peersLine = (...addresses: readonly string[]): string => `peers = ${JSON.stringify(addresses)}`

export const again = ({ home, name }: Pick<NodeProcess, 'home' | 'name'>): NodeOptions => ({ home, name })

/** The first address that a listening node gives out. */
export async function addressOf(node: NodeProcess): Promise<string> {
  const { direct } = await node.untilStatus(
    'listening',
    (status) => status.direct.listening?.addresses[0] !== undefined,
  )
  return direct.listening!.addresses[0]!
}

export const portOf = (address: string): number => Number(new URL(address).port)

export const at = (address: string, port: number): string => address.replace(/:\d+#/, `:${port}#`)

export const untilLinked = (node: NodeProcess, to: string) =>
  node.untilStatus(`linked to ${to}`, ({ direct }) => direct.links.some(({ name, answers }) => name === to && answers))

let words = 0

/** A write of one node is at another one; resolves to how long that took. */
export async function carries(from: NodeProcess, agent: string, to: NodeProcess): Promise<number> {
  const value = `word ${(words += 1)}`
  const umr = `${agent}.semantic.word`
  await ask(from, 'set', { umr, value: JSON.stringify(value) })
  const beganMs = performance.now()
  await until(`${to.name} has it`, async () => (await valueAt(to, umr)) === value)
  return performance.now() - beganMs
}
