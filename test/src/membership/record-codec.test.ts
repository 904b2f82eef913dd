import { readFileSync } from 'node:fs'
import { encode, fromHex, toHex, writeByte, writeFixed, writeId, writeList, writeUint } from '@sealmesh/protocol/bytes'
import type { AgentId, MeshId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { SignPublicKey } from '@sealmesh/protocol/keys'
import { RECORD_BYTES_MAX, RECORD_TEXT_BYTES_MAX } from '@sealmesh/protocol/limits'
import { foldMesh } from '@sealmesh/protocol/membership/fold'
import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import { decodeRecord, nodeIdOf, signRecord, verifyRecord } from '@sealmesh/protocol/membership/record-codec'
import { loadSodium } from '@sealmesh/sodium/load'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FakeSodium } from './fake-sodium.ts'
import { generatedLog } from './generated-log.ts'
import { buildVectors, meshView, recordView, type Vectors } from './record-vectors.ts'
import { admit, assign, revoke, Scene } from './scene.ts'

const VECTORS = new URL('../../vectors/records.json', import.meta.url)
const vectors = JSON.parse(readFileSync(VECTORS, 'utf8')) as Vectors
const fake = new FakeSodium()

describe('golden records', async () => {
  const sodium = await loadSodium()

  test('the file is what its own seeds and this code give', () => {
    expect(vectors).toEqual(JSON.parse(JSON.stringify(buildVectors(sodium))))
  })

  test.each(vectors.good)('reads, hashes and verifies: $name', ({ bytes, hash, key, record }) => {
    const read = decodeRecord(fromHex(bytes), sodium)
    if (!read.ok) throw new Error(read.error.code)
    expect(recordView(read.value)).toEqual(record)
    expect(read.value.hash).toBe(hash)
    expect(verifyRecord(read.value, fromHex(key), sodium)).toBe(true)
    expect(verifyRecord(read.value, fromHex(vectors.wrongKey), sodium)).toBe(false)
  })

  test.each(vectors.bad)('refuses: $name', ({ bytes, error }) => {
    expect(decodeRecord(fromHex(bytes), sodium)).toMatchObject({ ok: false, error: { code: error } })
  })

  test.each(vectors.badSignatures)('reads, but does not verify: $name', ({ bytes, key }) => {
    const read = decodeRecord(fromHex(bytes), sodium)
    if (!read.ok) throw new Error(read.error.code)
    expect(verifyRecord(read.value, fromHex(key), sodium)).toBe(false)
  })

  test.each(vectors.logs)('folds: $name', ({ mesh, records, fold }) => {
    const read = records.map((bytes) => {
      const record = decodeRecord(fromHex(bytes), sodium)
      if (!record.ok) throw new Error(record.error.code)
      return record.value
    })
    for (const order of [read, read.toReversed()]) {
      const folded = foldMesh(mesh as MeshId, order, (record, key) => verifyRecord(record, key, sodium), sodium)
      expect(meshView(folded)).toEqual(fold)
    }
  })

  test('a node id follows from its key and its founding agent', () => {
    const { signKey, foundingAgent, id } = vectors.nodeId
    expect(nodeIdOf(fromHex(signKey) as SignPublicKey, foundingAgent as AgentId, sodium)).toBe(id)
  })
})

test('what is signed is what is read, for every kind of record', () => {
  fc.assert(
    fc.property(generatedLog(), ({ scene }) => {
      for (const record of scene.records) {
        const read = decodeRecord(record.bytes, fake)
        expect(read).toEqual({ ok: true, value: record })
      }
    }),
    { numRuns: 50, verbose: 1 },
  )
})

test('T-peer-9: decoding never throws, and what it accepts has no second form', () => {
  const records = fc.sample(generatedLog(), { numRuns: 5, seed: 7 }).flatMap(({ scene }) => scene.records)
  const mutation = fc.record({
    record: fc.constantFrom(...records),
    at: fc.nat(),
    remove: fc.nat(3),
    insert: fc.uint8Array({ maxLength: 4 }),
    tail: fc.nat(2),
  })
  let accepted = 0
  fc.assert(
    fc.property(fc.oneof(mutation, fc.uint8Array({ maxLength: 300 })), (each) => {
      const bytes = each instanceof Uint8Array ? Uint8Array.of(1, ...each) : mutated(each)
      const read = decodeRecord(bytes, fake)
      if (!read.ok) return
      accepted += 1
      const { mesh, parents, timeMs, signer, body, signature } = read.value
      const again = signRecord({ mesh, parents, timeMs, signer, body }, new Scene(fake).root.secret, fake).bytes
      // Everything but the signature follows from the content; the signature is what was there.
      expect(toHex(again.subarray(0, -64)) + toHex(signature)).toBe(toHex(bytes))
    }),
    { numRuns: 20_000, verbose: 1 },
  )
  expect(accepted).toBeGreaterThan(1_000)
})

function mutated(each: {
  record: SignedRecord
  at: number
  remove: number
  insert: Uint8Array
  tail: number
}): Uint8Array {
  const { bytes } = each.record
  const at = each.at % bytes.length
  const end = Math.max(at, bytes.length - (each.tail === 2 ? 1 : 0))
  return new Uint8Array([
    ...bytes.subarray(0, at),
    ...each.insert,
    ...bytes.subarray(Math.min(end, at + each.remove), end),
  ])
}

test('T-peer-5: a record over the limit is refused before it is read', () => {
  const bytes = new Uint8Array(RECORD_BYTES_MAX + 1)
  bytes[0] = 1
  expect(decodeRecord(bytes, fake)).toEqual({ ok: false, error: { code: 'RECORD_SIZE', bytes: bytes.length } })
})

test('T-peer-5: a count that the bytes cannot hold is refused without allocating for it', () => {
  const draft = encode((writer) => {
    writeByte(writer, 1)
    writeFixed(writer, new Uint8Array(32))
    writeUint(writer, 0)
    writeList(writer, ['ab'.repeat(32)], (id) => writeId(writer, id))
    writeByte(writer, 1)
    writeByte(writer, 9)
    writeFixed(writer, new Uint8Array(32))
    writeUint(writer, 0)
    writeUint(writer, 4_096) // Cuts, of which none follows.
    writeFixed(writer, new Uint8Array(64))
  })
  expect(decodeRecord(draft, fake)).toEqual({ ok: false, error: { code: 'RECORD_MALFORMED' } })
})

test('the decoded record does not share memory with the packet that it came in', () => {
  const scene = new Scene(fake)
  const { bytes } = scene.found(scene.machine('home'))
  const packet = new Uint8Array([9, 9, ...bytes])
  const read = decodeRecord(packet.subarray(2), fake)
  packet.fill(0)
  expect(read).toMatchObject({ ok: true, value: { bytes } })
})

test('what a person typed as a reason is made fit to be signed: one line, within the limit, well-formed', () => {
  const scene = new Scene(fake)
  const home = scene.machine('home')
  scene.found(home)
  const reasonOf = (reason: string) => {
    const { body } = scene.sign(home, { type: 'revoke', node: home.id, reason, cuts: [] })
    return body.type === 'revoke' ? body.reason : undefined
  }
  expect(reasonOf('lost\nin \u001b[31mthe\u009b train')).toBe('lost in  [31mthe  train')
  expect(reasonOf('\ud800')).toBe('\ufffd')
  const long = reasonOf('𝄞'.repeat(2_000)) ?? ''
  expect(new TextEncoder().encode(long)).toHaveLength(RECORD_TEXT_BYTES_MAX)
  expect(long.isWellFormed()).toBe(true)
})

test('lists that are sets are signed in their order, whatever order they are given in', () => {
  const scene = new Scene(fake)
  const [home, office] = [scene.machine('home'), scene.machine('office')]
  scene.found(home)
  scene.sign(home, admit(office))
  const cut = (layer: string) => ({ document: { agent: home.agent.id, layer }, vector: [] })
  const removal = scene.sign(home, revoke(office, [cut('semantic'), cut('episodic')]))
  expect(removal.body).toMatchObject({ cuts: [cut('episodic'), cut('semantic')] })
  const parents = [removal.hash, scene.records[0]?.hash as RecordHash].toSorted().toReversed()
  const draft = { mesh: scene.mesh, parents, timeMs: 1, signer: home.as, body: assign(home.agent, home, 1, null) }
  expect(signRecord(draft, home.secret, fake).parents).toEqual(parents.toReversed())
})

test('a draft that breaks a limit is our own mistake, and ends there', () => {
  const scene = new Scene(fake)
  const home = scene.machine('home')
  const body = { ...admit(home), node: { ...home.identity, name: 'Not A Name' } } as ReturnType<typeof admit>
  const draft = { mesh: scene.mesh, parents: ['ab'.repeat(32) as RecordHash], timeMs: 1, signer: scene.root.as, body }
  expect(() => signRecord(draft, scene.root.secret, fake)).toThrow('every node reads')
  expect(home.id as NodeId).toHaveLength(64)
})
