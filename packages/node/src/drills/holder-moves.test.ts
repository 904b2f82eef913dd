import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DrillWord } from '@sealmesh/protocol/drills/exchange'
import type { RecoveryPoint } from '@sealmesh/protocol/drills/facts'
import type { AgentId, MeshId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { DrillRun } from './drills-deps.ts'
import { HolderMoves } from './holder-moves.ts'

/** A holder that is asked to die while one of those whom acknowledgements wait for has, or has not, all of it. */

const AGENT = 'a9'.repeat(32) as AgentId
const [HOME, OFFICE, CABIN] = ['0d', '1d', '2d'].map((byte) => byte.repeat(32) as NodeId) as [NodeId, NodeId, NodeId]
const POINT: RecoveryPoint = {
  drill: 'd1'.repeat(16),
  mesh: 'e5'.repeat(32) as MeshId,
  agent: AGENT,
  holder: HOME,
  standby: OFFICE,
  term: { number: 1, record: 'c1'.repeat(32) as RecordHash },
  atMs: 1,
  layers: [],
  unacknowledged: [],
  oldestUnacknowledgedMs: null,
  notGranted: { named: [], others: 0 },
  previous: null,
}
const NOTE = { drill: POINT.drill, standby: OFFICE, agent: AGENT, point: POINT, signature: '00'.repeat(64) }

let directory: string
let died: number
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealmesh-holder-'))
  died = 0
})
afterEach(() => rm(directory, { recursive: true, force: true }))

/** `lacks`: how many blocks each of the two has not receipted, at each look. */
function holder(lacks: (node: NodeId) => number, members: readonly NodeId[] = [HOME, OFFICE]): HolderMoves {
  let clockMs = 0
  const agent = { id: AGENT, hosts: [HOME, OFFICE, CABIN], syncSet: { members } }
  const deps = {
    node: HOME,
    directory,
    now: () => 1,
    monotonicMs: () => (clockMs += 500),
    mesh: () => ({ agents: new Map([[AGENT, agent]]), witness: { profile: 'fast' } }),
    movers: {
      standings: (node: NodeId) => [
        { name: { agent: AGENT, layer: 'session' }, peerReads: true, toSend: lacks(node) },
        { name: { agent: 'ff'.repeat(32), layer: 'session' }, peerReads: true, toSend: 7 },
      ],
      endProcess: () => {
        died += 1
      },
    },
  }
  return new HolderMoves(deps as unknown as DrillRun, POINT, 0, false)
}

const askTo = async (moves: HolderMoves): Promise<DrillWord[]> => {
  const said: DrillWord[] = []
  await moves.kill(NOTE, (word) => said.push(word))
  return said
}

test('with all of it replicated it says its last word and dies', async () => {
  expect((await askTo(holder(() => 0))).map(({ word }) => word)).toEqual(['dying'])
  expect(died).toBe(1)
})

test.each([
  ['the standby', OFFICE, [HOME, OFFICE]],
  ['another one whom acknowledgements wait for', CABIN, [HOME, OFFICE, CABIN]],
  ['the standby, outside of the set', OFFICE, [HOME]],
] as const)('it does not die while %s lacks a block, and keeps no note of it', async (_, lacking, members) => {
  const moves = holder((node) => (node === lacking ? 1 : 0), members)
  expect(await moves.kill(NOTE, () => undefined)).toMatchObject({ word: 'refused' })
  expect(died).toBe(0)
  expect(await readdir(directory)).toEqual([])
})

test('nor when a block was written after its last word, until that has come through', async () => {
  let looks = 0
  const moves = holder((node) => (node === OFFICE && looks++ >= 1 && looks < 5 ? 1 : 0))
  expect((await askTo(moves)).map(({ word }) => word)).toEqual(['dying'])
  expect([died, looks]).toEqual([1, 5])
})

test('and for nobody outside of the set but the standby it waits', async () => {
  await askTo(holder((node) => (node === CABIN ? 3 : 0)))
  expect(died).toBe(1)
})

test('a run that has died in this drill does not die again', async () => {
  const moves = new HolderMoves({} as unknown as DrillRun, POINT, 0, true)
  expect(await moves.kill(NOTE, () => undefined)).toBeUndefined()
  expect(died).toBe(0)
})
