import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { resolveHome } from '@sealmesh/node/keys/home'
import { KeyStore } from '@sealmesh/node/keys/key-store'
import { LogKeeper, storedRecord } from '@sealmesh/node/membership/log-keeper'
import { nodeIdFrom } from '@sealmesh/node/setup/identity'
import { RecordStore } from '@sealmesh/node/store/record-store'
import { openSoundStore } from '@sealmesh/node/store/open-store'
import type { MeshId } from '@sealmesh/protocol/ids'
import { MembershipLog } from '@sealmesh/protocol/membership/log'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, untilInSync } from '../processes/pair.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

const sodium = await loadSodium()
const random = (bytes: number): Uint8Array => crypto.getRandomValues(new Uint8Array(bytes))
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-checkpoint-'))
const at = (name: string): string => path.join(directory, name)
let relay: RelayProcess
let home: NodeProcess
let office: NodeProcess

beforeAll(async () => {
  relay = await RelayProcess.start({ data: at('relay') })
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  home = await NodeProcess.start({ home: at('home'), name: 'home', agent: 'claude', relay: relay.address, ...claim })
  office = await pairNodes(home, { home: at('office'), name: 'office' })
})

afterAll(async () => {
  await office?.stop()
  await home?.stop()
  await relay?.stop()
  fs.rmSync(directory, { recursive: true, force: true })
})

const warned = async (node: NodeProcess) =>
  (await node.status()).warnings.filter(({ code }) => code === 'MESH_DIFFERS').map(({ message }) => message)

/** Home's log, its process being down. */
async function withLog<T>(work: (log: LogKeeper, keys: KeyStore) => Promise<T>): Promise<T> {
  const paths = resolveHome(at('home'), {})
  const keys = await KeyStore.load(paths.keys, { sodium, random })
  const clock = { now: Date.now, monotonicMs: () => performance.now() }
  const { store, close } = await openSoundStore(paths.db, { ...clock, mirrored: true })
  try {
    const { records, stored } = await RecordStore.load(store)
    const mesh = Buffer.from(keys.root?.publicKey ?? []).toString('hex') as MeshId
    const decoded = stored.map((bytes) => storedRecord(bytes, sodium))
    const log = new LogKeeper({ log: MembershipLog.restore(mesh, decoded, sodium), records, sodium, now: Date.now })
    return await work(log, keys)
  } finally {
    await close()
  }
}

test('a newcomer folds to what the checkpoint of its admission says; a machine that is told something else says so', async () => {
  await untilInSync(home, office)
  await home.stop()
  await withLog(async (log, keys) => {
    expect(log.mesh.checkpoint).not.toBeNull()
    expect(log.differsFrom()).toBeNull()
    expect(await warned(office)).toEqual([])
    const lie = { type: 'checkpoint', digest: new Uint8Array(32) } as const
    await log.append(lie, { type: 'node', node: nodeIdFrom(keys, sodium) }, keys.sign.secretKey)
  })
  home = await NodeProcess.start({ home: at('home'), name: 'home' })
  await until('the office says so', async () => (await warned(office)).length > 0)
  expect((await warned(office))[0]).toContain('on home;')
  // Nothing else changes: it goes by its own fold.
  const door = await office.door()
  await door.call('set', { umr: 'office.semantic.day', value: '"Tuesday"' })
  expect((await office.status()).peers.map(({ name }) => name)).toEqual(['home'])
})
