import { toHex } from '@sealmesh/protocol/bytes'
import { decodeBlock, signBlock, verifyBlock } from '@sealmesh/protocol/crdt/block-codec'
import type { Fork } from '@sealmesh/protocol/crdt/chains'
import type { BlockHash, PacketId } from '@sealmesh/protocol/ids'
import type { Withheld } from '@sealmesh/protocol/sync/withholding'
import { loadSodium } from '@sealmesh/sodium/load'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Running } from '../documents/test-homes.ts'
import { TestHomes } from '../documents/test-homes.ts'
import { Forks } from '../trust/forks.ts'
import { Withholdings } from '../trust/withholdings.ts'
import { findingsOf } from './findings.ts'

const sodium = await loadSodium()
const fact = (evidence: string) => ({ sinceMs: 1_000, lastMs: 2_000, evidence: [evidence] })

let homes: TestHomes
let office: Running
let forks: Forks
let withholdings: Withholdings
let news: (Fork | [Withheld, boolean])[]
let health: Parameters<typeof findingsOf>[0]['health']

beforeEach(async () => {
  homes = await TestHomes.make(sodium)
  const { agent, office: self } = homes.mesh
  const to = { type: 'node', node: self.id } as const
  homes.mesh.append({ type: 'grant', agent, layer: 'semantic', to, access: 'write' }, 'agent')
  office = await homes.start('office', self)
  news = []
  forks = new Forks({ ...office, onNews: (_, fork) => news.push(fork) })
  withholdings = new Withholdings({
    mesh: () => homes.mesh.mesh,
    aheadMs: () => 1_700_000_000_000,
    isBusy: () => false,
    onNews: (_, withheld, healed) => news.push([withheld, healed]),
  })
  health = { facts: { rolledBack: null, copied: null, lost: null, events: [] } }
})

afterEach(() => homes.remove())

const findings = () => findingsOf({ log: { mesh: homes.mesh.mesh } as never, health, forks, withholdings })

/** Two blocks that home signs for one place. */
function twoBlocks() {
  const { home, mesh } = homes.mesh
  const incarnation = homes.mint(home)
  return ['"one"', '"other"'].map((value) =>
    signBlock(
      {
        mesh: mesh.id,
        document: homes.semantic,
        author: home.id,
        incarnation,
        sequence: 1,
        previous: null,
        time: { wallMs: 1_700_000_000_000, counter: 0 },
        logHeads: mesh.heads,
        floor: null,
        received: [],
        term: null,
        writes: [{ type: 'set', key: 'twice', value, replaces: [] }],
      },
      home.keys.secretKey,
      sodium,
    ),
  )
}

test('T-clone-1: who signs two blocks for one place is named with both, and anybody can check the signatures', async () => {
  const blocks = twoBlocks()
  await office.documents.receive([blocks[0]!.bytes])
  expect([news, await findings()]).toEqual([[], []])
  await office.documents.receive([blocks[1]!.bytes])
  expect(news).toMatchObject([{ author: homes.mesh.home.id, sequence: 1 }])
  const [finding, ...others] = await findings()
  expect(others).toEqual([])
  expect(finding).toMatchObject({ type: 'forked', nodeName: 'home', agent: 'claude', layer: 'semantic' })
  for (const { hash, signature } of blocks)
    expect(finding?.evidence).toContain(`block ${hash}, signature ${toHex(signature)}`)
  const proof = finding!.proof.map((text) => decodeBlock(Buffer.from(text, 'base64'), sodium))
  expect(new Set(proof.map((block) => block.ok && block.value.hash))).toEqual(new Set(blocks.map(({ hash }) => hash)))
  const { publicKey } = homes.mesh.home.keys
  expect(proof.every((block) => block.ok && verifyBlock(block.value, publicKey, sodium))).toBe(true)
  // It is told once, and known after a restart.
  await office.documents.write(homes.semantic, [{ type: 'set', key: 'later', value: '1' }])
  expect(news).toHaveLength(1)
  const again = new Forks({ ...office, onNews: () => {} })
  expect((await again.all()).map((fork) => fork.blocks.length)).toEqual([2])
})

test('T-relay-9: what a machine names and does not come is listed with blocks and packets, until it comes', async () => {
  const { home } = homes.mesh
  const [block] = twoBlocks()
  const { incarnation } = block!.header
  const heard = (beat: number, named: boolean) =>
    withholdings.heard(home.id, {
      packet: `${beat}`.padStart(32, '0') as PacketId,
      lacksRecords: false,
      nowMs: beat * 10_000,
      differs: named,
      sameLog: true,
      asked: true,
      answered: true,
      documents: named
        ? [
            {
              name: homes.semantic,
              mine: [],
              named: [{ incarnation, sequence: 1, hash: block!.hash }],
              receipted: [],
              handed: [],
              askedSinceMs: undefined,
            },
          ]
        : [],
    })
  for (const beat of [1, 2]) heard(beat, true)
  expect(await findings()).toEqual([])
  heard(3, true)
  const [finding] = await findings()
  expect(finding).toMatchObject({
    type: 'withheld',
    nodeName: 'home',
    agent: 'claude',
    layer: 'semantic',
    what: 'home has 1 block that does not come through',
  })
  expect(finding?.evidence).toEqual([
    `block ${block!.hash}, 1 of incarnation ${incarnation}`,
    ...[1, 2, 3].map((beat) => `heartbeat in packet ${`${beat}`.padStart(32, '0')}`),
  ])
  heard(4, false)
  expect(await findings()).toEqual([])
  expect(news).toMatchObject([
    [{ what: 'blocks' }, false],
    [{ what: 'blocks' }, true],
  ])
})

test('a thousand blocks that a reader has not confirmed may be on their way for a while', async () => {
  const { home, office: self } = homes.mesh
  const dot = (sequence: number) => ({
    incarnation: homes.mint(self),
    sequence,
    hash: sequence.toString(16).padStart(64, '0') as BlockHash,
  })
  for (const [name, blocks, found] of [
    [homes.semantic, 999, 1],
    [homes.episodic, 1_000, 0],
  ] as const) {
    const mine = [dot(blocks)]
    for (let beat = 1; beat < 5; beat++)
      withholdings.heard(home.id, {
        packet: '00'.repeat(16) as PacketId,
        lacksRecords: false,
        nowMs: blocks * 100_000 + beat * 10_000,
        differs: true,
        sameLog: true,
        asked: true,
        answered: true,
        documents: [{ name, mine, named: [], receipted: [], handed: mine, askedSinceMs: undefined }],
      })
    expect(await findings()).toHaveLength(found)
  }
})

test('a home that is copied or was put back says so with what it has seen', async () => {
  health = { facts: { rolledBack: fact('old'), copied: fact('two'), lost: null, events: [] } }
  expect(await findings()).toMatchObject([
    { type: 'cloned', nodeName: null, evidence: ['two'] },
    { type: 'rolled-back', nodeName: null, evidence: ['old'] },
  ])
})
