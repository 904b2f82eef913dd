import type { ChildProcess } from 'node:child_process'
import * as path from 'node:path'
import { NodeProcess } from '@sealmesh/test/processes/node'
import { pairNodes, shareLayers, untilInSync } from '@sealmesh/test/processes/pair'
import { RelayProcess } from '@sealmesh/test/processes/relay'
import { closePair, openPair, restPair, startPart } from './run.ts'
import type { System } from './sync.ts'

const LAYER = 'semantic'
const PREFIX = `home.${LAYER}.`

export interface Ours extends System {
  /** The same nodes, written to and watched by processes of their own over the local sockets. */
  readonly throughSockets: System
  /** The processes that host home and office. */
  withHosts<T>(use: (hosts: readonly ChildProcess[]) => Promise<T>): Promise<T>
}

/**
 * A relay process, and home and office, paired by a real link, each hosted by the process that writes or watches: the
 * shape that the rival's clients have. The office may read the layer that the bench writes.
 */
export async function startOurs(directory: string, options: { profiled?: boolean } = {}): Promise<Ours> {
  const relay = await RelayProcess.start({ data: path.join(directory, 'relay') })
  const closers: (() => Promise<void>)[] = [async () => await relay.stop()]
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer()
  }
  try {
    const homes = { home: path.join(directory, 'home'), office: path.join(directory, 'office') }
    const sockets = await introduce(relay, homes)
    const how = options.profiled === true ? ['profiled'] : []
    const hosted = await openPair(
      startPart('our-home.js', [homes.home, PREFIX, ...how]),
      startPart('our-office.js', [homes.office, PREFIX, ...how]),
    )
    closers.push(async () => await closePair(hosted))
    return {
      withPair: async (_clients, use) => {
        const used = await use(hosted)
        await restPair(hosted)
        return used
      },
      throughSockets: {
        async withPair(clients, use) {
          const pair = await openPair(
            startPart('our-writer.js', [sockets.home, PREFIX, String(clients)]),
            startPart('our-observer.js', [sockets.office, PREFIX]),
          )
          try {
            return await use(pair)
          } finally {
            await closePair(pair)
          }
        },
        close: async () => {},
      },
      withHosts: (use) => use([hosted.writer, hosted.observer]),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** Founds, pairs and shares once, with nodes of their own processes; the homes stay. */
async function introduce(relay: RelayProcess, homes: { home: string; office: string }) {
  const { address, claim } = relay
  const founding = { home: homes.home, name: 'home', relay: address, ...(claim ? { claim } : {}) }
  const home = await NodeProcess.start(founding)
  try {
    const office = await pairNodes(home, { home: homes.office, name: 'office' })
    try {
      await shareLayers(home, 'home', [LAYER], 'office')
      await untilInSync(home, office)
      return { home: await home.socketPath(), office: await office.socketPath() }
    } finally {
      await office.stop()
    }
  } finally {
    await home.stop()
  }
}
