import { afterAll, beforeAll, expect, test } from 'vitest'
import { endHousehold, type Household, startHousehold } from '../processes/household.ts'
import type { NodeProcess } from '../processes/node.ts'
import { pairNodes } from '../processes/pair.ts'
import { until } from '../processes/wait.ts'

/** A second admin goes on when the machine that founded the mesh is gone, without any kit. */

let house: Household
let shed: NodeProcess | undefined
beforeAll(async () => {
  house = await startHousehold('admins')
})
afterAll(async () => {
  await shed?.kill()
  await endHousehold(house)
})

const names = async (node: NodeProcess) => {
  const door = await node.door()
  const { devices } = await door.call('device.ls', {})
  await door.close()
  return devices
}

test('T-peer-4: a member governs nothing, but chooses its own name', async () => {
  const { office } = house
  const door = await office.door()
  const refusals = [
    door.call('device.promote', { node: 'office' }),
    door.call('device.revoke', { node: 'home' }),
    door.call('device.rename', { node: 'home', name: 'mine' }),
    door.call('pair.start', {}),
  ]
  for (const each of refusals) await expect(each).rejects.toMatchObject({ code: 'NOT_ADMIN' })
  await expect(door.call('device.rename', { node: 'office', name: 'home' })).rejects.toMatchObject({
    code: 'NAME_TAKEN',
  })
  expect(await door.call('device.rename', { node: 'office', name: 'work' })).toMatchObject({ was: 'office' })
  await until('home calls it so', async () => (await names(house.home)).some(({ name }) => name === 'work'))
})

test('once promoted it removes the founder and lets others in, also at a relay that it had logged in to before', async () => {
  const { home, office } = house
  const door = await home.door()
  await door.call('device.promote', { node: 'work' })
  await until('it knows', async () => (await names(office)).find(({ here }) => here)?.admin === true)
  await home.kill()
  const there = await office.door()
  expect(await there.call('device.revoke', { node: 'home', reason: 'gone' })).toMatchObject({ relayTold: true })
  shed = await pairNodes(office, { home: `${house.directory}/shed`, name: 'shed' })
  const known = (await names(shed)).map(({ name, state, admin }) => `${name} ${state} ${admin ? 'admin' : 'member'}`)
  expect(new Set(known)).toEqual(new Set(['home removed admin', 'shed member member', 'work member admin']))
})

test('a new prekey is made at once, and others seal to it', async () => {
  const { office } = house
  const door = await office.door()
  const before = await door.call('key.show', {})
  const { publicKey } = await door.call('key.rotate', {})
  const after = await door.call('key.show', {})
  expect(after.prekeys.map((each) => each.publicKey)).toContain(publicKey)
  expect(after.prekeys.length).toBe(before.prekeys.length + 1)
  expect(after.prekeys.every(({ held }) => held)).toBe(true)
  expect(after.root).toBe(false)
  await expect(door.call('kit.draft', {})).rejects.toMatchObject({ code: 'ROOT_ELSEWHERE' })
})
