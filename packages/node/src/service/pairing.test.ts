import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toHex } from '@sealmesh/protocol/bytes'
import type { MeshId } from '@sealmesh/protocol/ids'
import { MembershipLog } from '@sealmesh/protocol/membership/log'
import { loadSodium } from '@sealmesh/sodium/load'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { KeyStore } from '../keys/key-store.ts'
import { LogKeeper } from '../membership/log-keeper.ts'
import { foundMesh, identityOf, nodeIdFrom } from '../setup/identity.ts'
import { Meta } from '../store/meta.ts'
import { openSoundStore } from '../store/open-store.ts'
import { RecordStore } from '../store/record-store.ts'
import { admitNode } from './pairing.ts'

const sodium = await loadSodium()
const random = (bytes: number): Uint8Array => randomBytes(bytes)

test.each([
  { fails: 'the record that admits it', at: 1, isIn: false },
  { fails: 'the checkpoint after it', at: 2, isIn: true },
])('a node is told that it is in when it is: the disk refuses $fails', async ({ at, isIn }) => {
  const directory = await mkdtemp(join(tmpdir(), 'sealmesh-admit-'))
  const clock = { now: Date.now, monotonicMs: () => performance.now() }
  const { store, close } = await openSoundStore(join(directory, 'db'), { ...clock, mirrored: true })
  try {
    const keys = await KeyStore.create(join(directory, 'keys'), { sodium, random }, { root: true })
    const other = await KeyStore.create(join(directory, 'other'), { sodium, random }, { root: false })
    const mesh = toHex(keys.root?.publicKey ?? new Uint8Array()) as MeshId
    const { records } = await RecordStore.load(store)
    let left = Number.POSITIVE_INFINITY
    const put = records.put.bind(records)
    records.put = (signed) => {
      const isFresh = signed.some(({ hash }) => !records.has(hash))
      return isFresh && --left === 0 ? Promise.reject(new Error('no space is left')) : put(signed)
    }
    const log = new LogKeeper({ log: new MembershipLog(mesh, sodium), records, sodium, now: Date.now })
    const meta = new Meta(store)
    await foundMesh(log, keys, meta, { mesh: 'test', node: 'home', agent: 'claude' }, sodium)
    const said: string[] = []
    const logger = pino({}, { write: (line: string) => void said.push(line) })
    const identity = identityOf(other, { node: 'office', agent: 'office' })
    left = at
    const answer = await admitNode(
      { mesh, node: nodeIdFrom(keys, sodium), keys, log, meta, sodium, logger },
      identity,
    ).catch(() => undefined)
    expect(log.mesh.nodes.has(nodeIdFrom(other, sodium))).toBe(isIn)
    expect(answer !== undefined).toBe(isIn)
    expect(answer?.records.length).toBe(isIn ? log.after([]).length : undefined)
    expect(said.length).toBe(isIn ? 1 : 0)
  } finally {
    await close()
    await rm(directory, { recursive: true })
  }
})
