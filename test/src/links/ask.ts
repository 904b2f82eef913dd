import type { MethodInput, MethodName, MethodResult } from '@sealmesh/protocol/ipc/methods'
import type { NodeProcess } from '../processes/node.ts'

/** One question over a connection of its own. */
export async function ask<M extends MethodName>(
  node: NodeProcess,
  method: M,
  params: MethodInput<M>,
): Promise<MethodResult<M>> {
  const door = await node.door()
  try {
    return await door.call(method, params)
  } finally {
    await door.close()
  }
}

/** The value of a register, parsed; undefined where there is none. */
export async function valueAt(node: NodeProcess, umr: string): Promise<unknown> {
  const { item } = await ask(node, 'get', { umr })
  return item?.type === 'register' ? JSON.parse(item.value) : undefined
}

export const liveRelays = (node: NodeProcess): Promise<number> =>
  node.status().then(({ relays }) => relays.filter(({ state }) => state === 'live').length)
