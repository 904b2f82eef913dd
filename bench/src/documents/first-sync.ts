import * as fs from 'node:fs'
import * as path from 'node:path'
import { RelayProcess } from '@sealmesh/test/processes/relay'
import { median, row } from '../result.ts'
import { Host } from './host.ts'
import { foundPair } from './mesh.ts'
import type { NodeHost } from './node-host.ts'
import type { Part, PartOptions } from './part.ts'
import type { RivalClientHost } from './rival-client-host.ts'
import type { RivalServerHost } from './rival-server-host.ts'

const REGISTERS = 100_000

/** A document that one machine holds and another one gets: from the grant, or the connection, until all of it is there. */
export const firstSync: Part = async (options) => {
  const times: { ours: number[]; rival: number[] } = { ours: [], rival: [] }
  const place = path.join(options.directory, 'first-sync')
  await withOurs(place, options, async (measureOurs) => {
    for (let i = 0; i < options.runs; i++) {
      options.progress(`first-sync: run ${i + 1} of ${options.runs}`)
      times.ours.push(await measureOurs(i))
      times.rival.push(await measureRival())
    }
  })
  fs.rmSync(place, { recursive: true })
  const [ours, rival] = [median(times.ours), median(times.rival)]
  return {
    rows: [
      row({
        id: 'first-sync-100000-registers',
        ours,
        rival,
        unit: 'ms',
        bar: '<= Hocuspocus 3 delivering the same Y.Map in clear',
        ok: ours <= rival,
      }),
    ],
    notes: [
      `first-sync: ${REGISTERS} registers of 100 bytes. Ours: both nodes are connected, home holds the document durably; from the grant until the office has read the last register, durable there. The rival: its server and the receiving client are connected and hold an empty document; from the moment at which a client with the full Y.Map connects until the receiving client's Y.Map has every key. Nothing is stored.`,
    ],
  }
}

async function withOurs(
  place: string,
  { progress }: PartOptions,
  use: (measure: (run: number) => Promise<number>) => Promise<void>,
): Promise<void> {
  const relay = await RelayProcess.start({ data: path.join(place, 'relay') })
  const hosts: Host<NodeHost>[] = []
  try {
    const homes = { home: path.join(place, 'home'), office: path.join(place, 'office') }
    progress('first-sync: a relay and two nodes')
    await foundPair(relay, homes, ['warm-up'])
    const home = await Host.start<NodeHost>('node-host.js', [homes.home])
    hosts.push(home)
    const office = await Host.start<NodeHost>('node-host.js', [homes.office])
    hosts.push(office)
    await Promise.all([home.ask('live'), office.ask('live')])
    await use(async (run) => {
      const layer = `first-${run}`
      await home.ask('fill', layer, 0, REGISTERS, run)
      const seen = office.ask('seen', layer, REGISTERS - 1, run)
      const startedMs = await home.ask('share', layer)
      const tookMs = (await seen) - startedMs
      const count = await office.ask('count', layer)
      if (count !== REGISTERS) throw new Error(`the office has ${count} of ${REGISTERS} registers`)
      return tookMs
    })
  } finally {
    for (const host of hosts.reverse()) await host.stop()
    await relay.stop()
  }
}

/** Fresh processes for each run: its server would keep the documents of the runs before. */
async function measureRival(): Promise<number> {
  const server = await Host.start<RivalServerHost>('rival-server-host.js', [])
  const url = `ws://127.0.0.1:${await server.ask('port')}`
  const receiver = await Host.start<RivalClientHost>('rival-client-host.js', [url])
  const sender = await Host.start<RivalClientHost>('rival-client-host.js', [url])
  try {
    await sender.ask('fill', REGISTERS)
    await receiver.ask('connect')
    const seen = receiver.ask('seen', REGISTERS)
    const startedMs = await sender.ask('connect')
    return (await seen) - startedMs
  } finally {
    for (const host of [sender, receiver, server]) await host.stop()
  }
}
