import * as path from 'node:path'
import { NodeProcess } from '@sealmesh/test/processes/node'
import { pairNodes, shareLayers, untilInSync } from '@sealmesh/test/processes/pair'
import { RelayProcess } from '@sealmesh/test/processes/relay'
import { closePair, openPair, startPart } from './run.ts'
import type { System } from './sync.ts'

const LAYER = 'semantic'
const PREFIX = `home.${LAYER}.`

/** A relay, a home and an office, paired by a real link; the office may read the layer that the bench writes. */
export async function startOurs(directory: string): Promise<System> {
  const relay = await RelayProcess.start({ data: path.join(directory, 'relay') })
  const closers: (() => Promise<void>)[] = [async () => await relay.stop()]
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer()
  }
  try {
    const { address, claim } = relay
    const founding = { home: path.join(directory, 'home'), name: 'home', relay: address, ...(claim ? { claim } : {}) }
    const home = await NodeProcess.start(founding)
    closers.push(async () => await home.stop())
    const office = await pairNodes(home, { home: path.join(directory, 'office'), name: 'office' })
    closers.push(async () => await office.stop())
    await shareLayers(home, 'home', [LAYER], 'office')
    await untilInSync(home, office)

    return {
      async withPair(clients, use) {
        const pair = await openPair(
          startPart('our-writer.js', [await home.socketPath(), PREFIX, String(clients)]),
          startPart('our-observer.js', [await office.socketPath(), PREFIX]),
        )
        try {
          return await use(pair)
        } finally {
          await closePair(pair)
        }
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
