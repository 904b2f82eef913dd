import type { DoorClient } from '@sealmesh/node/ipc/client'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { endHousehold, type Household, startHousehold } from '../processes/household.ts'
import { NodeProcess } from '../processes/node.ts'
import { until } from '../processes/wait.ts'

/** Two real nodes and a real relay, and one agent that lives at home and may move to the office. */

export type Profile = 'default' | 'fast'
export const AGENT = 'claude'

export interface TrialMesh {
  household: Household
  readonly home: DoorClient
  readonly office: DoorClient
}

/** With `profile` the relay keeps leases; `mode` is the agent's. Both machines have everything when it resolves. */
export async function startTrialMesh(
  name: string,
  mode: 'manual' | 'auto',
  profile?: Profile,
  env?: Readonly<Record<string, string>>,
): Promise<TrialMesh> {
  const household = await startHousehold(name, env)
  const home = await household.home.door()
  await home.call('agents.add', { name: AGENT, standby: ['office'] })
  const layers = ['session', 'semantic'].map((layer) => ({ layer, to: 'standby' }))
  await home.call('share.set', { agent: AGENT, changes: layers })
  if (profile !== undefined) await home.call('witness.set', { profile })
  if (mode !== 'manual') await home.call('failover.set', { agent: AGENT, mode })
  await untilMay(home)
  await home.call('set', { umr: `${AGENT}.session.first`, value: '1' })
  const office = await household.office.door()
  await untilReady(office)
  return { household, home, office }
}

export const endTrialMesh = ({ household }: TrialMesh): Promise<void> => endHousehold(household)

/** As after a crash: the same home once more. */
export async function restart(node: NodeProcess): Promise<NodeProcess> {
  return NodeProcess.start({ home: node.home, name: node.name })
}

export const mayAct = async (door: DoorClient): Promise<boolean> => (await rowOf(door)).may

export async function rowOf(door: DoorClient): Promise<MethodResult<'failover.status'>['agents'][number]> {
  const { agents } = await door.call('failover.status', { agent: AGENT })
  return agents[0]!
}

export const untilMay = (door: DoorClient, deadlineMs = 60_000): Promise<boolean> =>
  until('it may act', async () => (await mayAct(door)) || undefined, deadlineMs)

/** The standby has seen all that the holder has, the first write included. */
export async function untilReady(standby: DoorClient): Promise<void> {
  await until('the standby has all', async () => {
    const { item } = await standby.call('get', { umr: `${AGENT}.session.first` })
    const { summary } = await standby.call('status', {})
    return (item !== null && summary === 'in sync') || undefined
  })
}
