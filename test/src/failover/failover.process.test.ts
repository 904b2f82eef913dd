import { expect, test } from 'vitest'
import { handoverTrials, killTrial, manualTrial, stopTrial } from './trials-of.ts'

// A slice of `pnpm failover-trials`: the bounds are the same, and wide enough for two busy cores.

test('a holder that is killed is followed by its standby, and nothing that was confirmed is lost', async () => {
  for (const at of [1, 2]) {
    const trial = await killTrial(`kill-${at}`, 'fast', 1_500)
    expect(trial.ms).toBeLessThan(15_000)
    expect(trial).toMatchObject({ lostRelayed: 0, lostReplicated: 0 })
    expect(trial.relayed).toBeGreaterThan(20)
    expect(trial.replicated).toBeGreaterThan(20)
  }
})

test('a holder that stood still past its lease does nothing under the old term when it goes on', async () => {
  for (const at of [1, 2]) expect((await stopTrial(`stop-${at}`, 'fast')).ms).toBeLessThan(15_000)
})

test('a handover moves the agent there and back, with all that was written a moment before', async () => {
  for (const { ms } of await handoverTrials('handover', 4, 'fast')) expect(ms).toBeLessThan(5_000)
})

test('a person moves a manual agent from a machine that is gone', async () => {
  for (const at of [1, 2]) expect((await manualTrial(`manual-${at}`)).ms).toBeLessThan(5_000)
})
