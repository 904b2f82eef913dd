import { loadSodium } from '@sealmesh/sodium/load'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { admittedMesh, runTrial, TrialCluster } from './trials.ts'

let cluster: TrialCluster
beforeAll(async () => {
  cluster = await TrialCluster.start()
})
afterAll(async () => {
  await cluster?.stop()
})

test('what one relay of a cluster calls stored, another one delivers, and killed relays, servers and links change nothing of it', async () => {
  const { relays } = cluster
  const sodium = await loadSodium()
  const mesh = await admittedMesh(cluster, sodium)
  for (const [fault, at] of [
    ['relay killed', 0],
    ['server killed', 1],
    ['link cut', 2],
  ] as const) {
    const { missing, late, stored } = await runTrial(cluster, mesh, fault, at)
    expect({ fault, missing, late }).toEqual({ fault, missing: 0, late: 0 })
    expect(stored).toBeGreaterThan(0)
  }
  expect(relays.all).toHaveLength(3)
})
