import type { AgentPort } from '../agent-port.ts'
import { registerOf } from './turns.ts'

export interface Schema<T> {
  safeParse(value: unknown): { readonly success: true; readonly data: T } | { readonly success: false }
}

/** Undefined where there is none, or one that this version does not understand. */
export async function readRecord<T>(
  port: AgentPort,
  agent: string,
  key: string,
  schema: Schema<T>,
): Promise<T | undefined> {
  const text = await port.read(registerOf(agent, key))
  const record = schema.safeParse(text === undefined ? undefined : parsed(text))
  return record.success ? record.data : undefined
}

/** Of this agent, by what stands behind the prefix. */
export async function readRecords<T>(port: AgentPort, prefix: string, schema: Schema<T>): Promise<Map<string, T>> {
  const start = registerOf(port.name, prefix)
  const found = new Map<string, T>()
  for (const umr of await port.list(start)) {
    const name = umr.slice(start.length)
    const record = await readRecord(port, port.name, `${prefix}${name}`, schema)
    if (record !== undefined) found.set(name, record)
  }
  return found
}

/** All of one kind, or `only` that one. */
export async function recordsOf<T>(
  port: AgentPort,
  key: (id: string) => string,
  schema: Schema<T>,
  only: string | undefined,
): Promise<readonly T[]> {
  if (only === undefined) return [...(await readRecords(port, key(''), schema)).values()]
  const record = await readRecord(port, port.name, key(only), schema)
  return record === undefined ? [] : [record]
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
