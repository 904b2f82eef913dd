import { createSocket } from 'node:dgram'
import * as os from 'node:os'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ask } from '../links/ask.ts'
import { NodeProcess } from '../processes/node.ts'
import type { RelayProcess } from '../processes/relay.ts'
import { endHousehold, startHousehold } from '../processes/household.ts'
import { again, carries, configure, untilLinked } from './stage.ts'

/** Two machines that know nothing of where the other one is; the LAN is loopback, with real multicast. */

let directory: string
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess

beforeAll(async () => {
  ;({ directory, relay, home, office } = await startHousehold('lan'))
  await ask(home, 'share.set', { agent: 'home', changes: [{ layer: 'semantic', to: 'office' }] })
}, 60_000)

afterAll(async () => {
  await endHousehold({ directory, relay, home, office })
})

/** Whether a message to the group of mDNS comes back on loopback: not everywhere is a process let. */
function hasMulticast(): Promise<boolean> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  return new Promise<boolean>((resolve) => {
    const giveUp = setTimeout(() => resolve(false), 2_000)
    socket.once('error', () => resolve(false))
    socket.once('message', () => {
      clearTimeout(giveUp)
      resolve(true)
    })
    socket.bind(0, '0.0.0.0', () => {
      try {
        socket.addMembership('224.0.0.251', '127.0.0.1')
        socket.setMulticastInterface('127.0.0.1')
        socket.send('here', socket.address().port, '224.0.0.251')
      } catch {
        resolve(false)
      }
    })
  }).finally(() => socket.close())
}

/** All that is said by mDNS on loopback from now on. */
function overhear(): { readonly heard: Buffer[]; close(): void } {
  const heard: Buffer[] = []
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  socket.on('message', (message) => heard.push(message))
  socket.bind(5_353, '0.0.0.0', () => socket.addMembership('224.0.0.251', '127.0.0.1'))
  return { heard, close: () => void socket.close() }
}

test('machines of a mesh find each other on a LAN and need no relay, and say nothing of themselves to others there', async ({
  skip,
}) => {
  if (!(await hasMulticast())) skip('this machine has no multicast on loopback')
  const names = [home, office].map(({ name }) => name)
  const ids = [(await home.status()).node.id, (await home.status()).mesh.id].map((id) => id.replace(/^\w+_/, ''))
  await home.stop()
  await office.stop()
  await relay.kill()
  const neighbour = overhear()
  try {
    for (const each of [home, office]) configure(each.home, ['listen = "127.0.0.1:0"', 'mdns = true'])
    home = await NodeProcess.start(again(home))
    office = await NodeProcess.start(again(office))
    const { direct } = await untilLinked(home, 'office')
    await untilLinked(office, 'home')
    expect(direct).toMatchObject({ lan: 'looking', links: [{ name: 'office' }] })
    await carries(home, 'home', office)
  } finally {
    neighbour.close()
  }
  const said = neighbour.heard.map((message) => message.toString('latin1')).filter((each) => each.includes('_sealmesh'))
  expect(said.length).toBeGreaterThan(1)
  for (const secret of [
    ...names,
    ...ids,
    ...ids.map((id) => Buffer.from(id, 'hex').toString('latin1')),
    `${os.hostname()}.local`,
  ])
    expect(said.filter((each) => each.includes(secret))).toEqual([])
}, 60_000)
