import { connectDoor, type DoorClient } from '../ipc/client.ts'
import type { Home } from '../keys/home.ts'
import { findSocket } from '../keys/socket-path.ts'
import type { Candidate, Kind } from './complete.ts'

/** A person waits for this with a finger on the key. */
const ANSWER_MS = 500
const LISTED_MAX = 200

/** Names that the node knows, or none where it does not run or does not answer at once. */
export async function names(home: Home, kinds: readonly Kind[], start: string): Promise<Candidate[]> {
  if (kinds.length === 0) return []
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Candidate[]>((resolve) => {
    timer = setTimeout(resolve, ANSWER_MS, [])
  })
  try {
    return await Promise.race([asked(home, kinds, start), late])
  } catch {
    return []
  } finally {
    clearTimeout(timer)
  }
}

async function asked(home: Home, kinds: readonly Kind[], start: string): Promise<Candidate[]> {
  const door = await connectDoor(await findSocket(home), { helloWaitMs: ANSWER_MS })
  try {
    const found = await Promise.all(kinds.map((kind) => ofKind(door, kind, start)))
    return found.flat().filter(({ word }) => word.startsWith(start))
  } finally {
    void door.close()
  }
}

async function ofKind(door: DoorClient, kind: Kind, start: string): Promise<Candidate[]> {
  switch (kind) {
    case 'agent': {
      const { agents } = await door.call('agents.ls', {})
      return agents.map(({ name, holder }) => ({ word: name, about: holder === null ? '' : `held by ${holder}` }))
    }
    case 'node': {
      const { peers } = await door.call('status', {})
      return peers.map(({ name, state }) => ({ word: name, about: state }))
    }
    case 'umr':
      return umrs(door, start)
  }
}

/** As far as the next dot: agents, then their layers, then items. */
async function umrs(door: DoorClient, start: string): Promise<Candidate[]> {
  const [agent = '', layer, id] = start.split('.')
  if (id !== undefined) {
    const { items } = await door.call('ls', { prefix: start, limit: LISTED_MAX })
    return items.map(({ umr, type }) => ({ word: umr, about: type }))
  }
  const { agents } = await door.call('agents.ls', {})
  if (layer === undefined) return agents.map(({ name }) => ({ word: `${name}.`, about: 'agent' }))
  const layers = agents.find(({ name }) => name === agent)?.layers ?? []
  return layers.map((each) => ({ word: `${agent}.${each.layer}.`, about: 'layer' }))
}
