import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { copyFolder } from '../processes/copy-folder.ts'
import { endHousehold, type Household, startHousehold } from '../processes/household.ts'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes } from '../processes/pair.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/**
 * A machine that was removed, at a relay that has forgotten the removal: it was restored from the copy of an hour
 * before, and lets the machine in again while no admin is there to tell it. Then only what the members know holds.
 */

let house: Household
let relay: RelayProcess
let shed: NodeProcess
const at = (name: string): string => path.join(house.directory, name)

const value = async (node: NodeProcess, umr: string): Promise<unknown> => {
  const door = await node.door()
  const { item } = await door.call('get', { umr })
  await door.close()
  return item !== null && 'value' in item ? item.value : null
}

const set = async (node: NodeProcess, umr: string, text: string): Promise<void> => {
  const door = await node.door()
  await door.call('set', { umr, value: text })
  await door.close()
}

beforeAll(async () => {
  house = await startHousehold('revoked')
  relay = house.relay
  const { home, office } = house
  shed = await pairNodes(home, { home: at('shed'), name: 'shed' })
  const door = await home.door()
  await door.call('agents.add', { name: 'home', standby: ['office', 'shed'] })
  await door.call('share.set', { agent: 'home', changes: [{ layer: 'semantic', to: 'standby' }] })
  await set(home, 'home.semantic.before', '1')
  for (const node of [office, shed])
    await until('it has the fact', async () => (await value(node, 'home.semantic.before')) === '1')
  await relay.stop()
  copyFolder(at('relay'), at('relay-before'))
  relay = await RelayProcess.start({ data: at('relay'), port: relay.port })
  await home.untilStatus('connected', ({ relays }) => relays.some(({ state }) => state === 'live'))
  await door.call('device.revoke', { node: 'office', reason: 'stolen' })
})

afterAll(async () => {
  await shed?.stop()
  await endHousehold({ ...house, relay })
})

test('T-revoked-5: it is told, by the relay; members see that it is removed', async () => {
  const { home, office } = house
  await office.untilStatus('told', ({ relays }) => relays.some(({ reason }) => reason === 'NODE_REVOKED'))
  for (const node of [home, shed])
    await node.untilStatus('of one mind', ({ peers }) =>
      peers.some(({ name, state }) => name === 'office' && state === 'removed'),
    )
})

test('T-revoked-5: at a relay that forgot the removal it receives nothing, and what it writes is applied nowhere', async () => {
  const { home, office } = house
  await set(home, 'home.semantic.after', '2')
  await until('the shed has what came after', async () => (await value(shed, 'home.semantic.after')) === '2')
  // No admin is there to tell the relay, and the shed is the one who has what came after.
  await home.stop()
  await relay.stop()
  relay = await RelayProcess.start({ data: at('relay-before'), port: relay.port })
  // A refusal does not pass by itself: the thief starts the machine anew.
  await office.stop()
  const again = await NodeProcess.start({ home: at('office'), name: 'office' })
  try {
    for (const node of [again, shed])
      await node.untilStatus('let in', ({ relays }) => relays.some(({ state }) => state === 'live'))
    await set(again, 'home.semantic.forged', '3')
    await set(again, 'home.semantic.before', '"spoilt"')
    // The shed heard it, and says what became of that.
    const door = await shed.door()
    await until('the shed has refused it', async () => {
      const { packets } = await door.call('quarantine.ls', {})
      return packets.some(({ code }) => code === 'PACKET_SENDER_REMOVED')
    })
    await set(shed, 'home.semantic.later', '4')
    const back = await NodeProcess.start({ home: at('home'), name: 'home' })
    try {
      await until('home has what the shed wrote', async () => (await value(back, 'home.semantic.later')) === '4')
      await again.untilStatus('told once more', ({ relays }) => relays.some(({ reason }) => reason === 'NODE_REVOKED'))
      for (const node of [shed, back]) {
        expect(await value(node, 'home.semantic.forged')).toBeNull()
        expect(await value(node, 'home.semantic.before')).toBe('1')
      }
      for (const umr of ['home.semantic.after', 'home.semantic.later']) expect(await value(again, umr)).toBeNull()
    } finally {
      await back.stop()
    }
  } finally {
    await again.stop()
  }
})
