import { seededDice } from '@sealmesh/protocol/test-dice'
import { describe, expect, test } from 'vitest'
import { mustSkipPowerCuts } from '../power-cut/power.ts'
import { testSeed } from '../processes/seed.ts'
import { nodeCuts, relayedCuts, unsyncedNodeCuts } from './node-cuts.ts'
import { relayCuts, unsyncedRelayCuts } from './relay-cuts.ts'

/** A slice of `pnpm power-loss`. */
describe.skipIf(mustSkipPowerCuts())('when the power goes', () => {
  const few = () => ({ cuts: 2, writes: 150, dice: seededDice(testSeed()) })

  test('a node keeps all that it acknowledged, and its standby what was called replicated', async () => {
    const tally = await nodeCuts(few())
    expect(tally.broken).toEqual([])
    for (const level of ['local', 'replicated']) expect(tally.acknowledged.get(level)).toBeGreaterThan(0)
  })

  test('a relay keeps the packets, slots and snapshots that it answered for', async () => {
    const tally = await relayCuts(few())
    expect(tally.broken).toEqual([])
    for (const kind of ['packets', 'slots', 'snapshots']) expect(tally.acknowledged.get(kind)).toBeGreaterThan(0)
  })

  test('a write that was called relayed comes out of the relay, though its writer is off', async () => {
    const tally = await relayedCuts(few())
    expect(tally.broken).toEqual([])
    expect(tally.total).toBeGreaterThan(0)
  })

  test('both lose writes when they wait for no disk', async () => {
    expect((await unsyncedNodeCuts({ ...few(), cuts: 1 })).lost.length).toBeGreaterThan(0)
    expect((await unsyncedRelayCuts({ ...few(), cuts: 1 })).lost.length).toBeGreaterThan(0)
  })
})
