import { NodeProcess } from '@sealmesh/test/processes/node'
import { pairNodes, shareLayers, untilInSync } from '@sealmesh/test/processes/pair'
import type { RelayProcess } from '@sealmesh/test/processes/relay'

export interface Homes {
  readonly home: string
  readonly office: string
}

/** Founds a mesh of two homes, pairs them and grants the office these layers of the agent `home`. Leaves no process. */
export async function foundPair(
  relay: Pick<RelayProcess, 'address' | 'claim'>,
  homes: Homes,
  layers: readonly string[],
): Promise<void> {
  const { address, claim } = relay
  const home = await NodeProcess.start({ home: homes.home, name: 'home', relay: address, ...(claim ? { claim } : {}) })
  try {
    const office = await pairNodes(home, { home: homes.office, name: 'office' })
    try {
      if (layers.length > 0) await shareLayers(home, 'home', layers, 'office')
      // The office's own agent may be carried at home: what home writes for it, the office reads as its holder.
      const door = await office.door()
      await door.call('agents.add', { name: 'office', standby: ['home'] })
      await door.close()
      await untilInSync(home, office)
    } finally {
      await office.stop()
    }
  } finally {
    await home.stop()
  }
}
