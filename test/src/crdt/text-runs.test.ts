import { readFileSync } from 'node:fs'
import { fromHex } from '@sealmesh/protocol/bytes'
import { Document } from '@sealmesh/protocol/crdt/document'
import { placeRuns, runsFit } from '@sealmesh/protocol/crdt/placed-runs'
import { verifyPruned } from '@sealmesh/protocol/crdt/pruned'
import { decodeRow, encodeRow, isRun } from '@sealmesh/protocol/crdt/row'
import { planRuns } from '@sealmesh/protocol/crdt/run-plan'
import { isSoundRun, type TextRun, verifyRun } from '@sealmesh/protocol/crdt/text-run'
import type { SignPublicKey } from '@sealmesh/protocol/keys'
import { TEXT_RUN_BYTES_TARGET } from '@sealmesh/protocol/limits'
import { dice } from '@sealmesh/protocol/test-dice'
import { loadSodium } from '@sealmesh/sodium/load'
import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { buildRunVectors, MAKER, type RunVectors } from './run-vectors.ts'
import { incarnationId, NAME } from './scene.ts'

// Many histories: on a busy machine they take long, and that says nothing of them.
vi.setConfig({ testTimeout: 180_000 })

const vectors = JSON.parse(readFileSync(new URL('../../vectors/text-runs.json', import.meta.url), 'utf8')) as RunVectors

describe('text runs', async () => {
  const sodium = await loadSodium()
  const authorKey = fromHex(vectors.authorKey) as SignPublicKey
  const makerKey = fromHex(vectors.makerKey) as SignPublicKey
  const read = (row: string): TextRun => {
    const decoded = decodeRow(fromHex(row), sodium)
    if (!decoded.ok || !isRun(decoded.value)) throw new Error('No text run.')
    return decoded.value
  }

  test('the file is what this code gives', () => {
    expect(vectors).toEqual(JSON.parse(JSON.stringify(buildRunVectors(sodium))))
  })

  test.each(vectors.good)('is proved by its end and signed by its maker: $name', ({ row, end, from, to }) => {
    const run = read(row)
    expect([run.end.hash, run.from, run.to, run.maker]).toEqual([end, from, to, MAKER])
    expect(verifyPruned(run.end, authorKey, sodium)).toBe(true)
    expect(verifyRun(run, makerKey, sodium)).toBe(true)
    expect(verifyRun(run, authorKey, sodium)).toBe(false)
    expect(isSoundRun(run)).toBe(true)
    expect(encodeRow(run)).toEqual(fromHex(row))
  })

  test.each(vectors.bad)('is refused: $name', ({ row }) => {
    const decoded = decodeRow(fromHex(row), sodium)
    expect(decoded.ok && isRun(decoded.value) && isSoundRun(decoded.value)).toBe(false)
  })

  test('what the maker says of a range cannot be changed', () => {
    const run = read(vectors.good[0]!.row)
    const other = read(vectors.good[1]!.row)
    for (const part of ['end', 'from', 'to', 'update'] as const)
      expect(verifyRun({ ...run, [part]: other[part] }, makerKey, sodium)).toBe(false)
  })

  test('together they make the text, in any order, and none of them may be missing, come twice or be for another', () => {
    const runs = vectors.good.map(({ row }) => read(row))
    for (const some of [runs, runs.toReversed()]) {
      const yDoc = new Document(NAME, sodium).yDoc
      expect(placeRuns(yDoc, some)).toBe(true)
      expect(yDoc.getText('notes').toString()).toBe(vectors.text)
    }
    expect(runsFit(runs)).toBe(true)
    expect(runsFit(runs.slice(1))).toBe(false)
    expect(runsFit([runs[2]!])).toBe(false)
    const { end } = runs[3]!
    const twin = {
      ...end,
      header: { ...end.header, incarnation: `${'22'.repeat(15)}23` as typeof end.header.incarnation },
    }
    expect(runsFit([...runs, { ...runs[3]!, end: twin }])).toBe(false)
    const further = { ...runs[2]!, to: 7 }
    expect(runsFit([runs[0]!, runs[1]!, further])).toBe(false)
  })

  test('no bytes make a reader throw, and nothing that fits leaves anything pending', () => {
    const rows = vectors.good.map(({ row }) => fromHex(row))
    fc.assert(
      fc.property(fc.integer({ min: 1 }), (seed) => {
        const { one, pick, random } = dice(seed)
        const runs: TextRun[] = []
        for (const row of rows) {
          const bytes = Uint8Array.from(row)
          for (let left = pick(3); left > 0; left--) bytes[pick(bytes.length)] = pick(256)
          const decoded = decodeRow(random() < 0.1 ? bytes.subarray(0, pick(bytes.length)) : bytes, sodium)
          if (decoded.ok && isRun(decoded.value)) runs.push(decoded.value)
        }
        // The update alone, as whoever signs may make it.
        for (const run of [one(runs), one(runs)]) {
          if (run === undefined) continue
          const update = Uint8Array.from(run.update)
          update[pick(update.length)] = pick(256)
          runs.push({ ...run, update })
        }
        const sound = runs.filter((run) => isSoundRun(run))
        for (const some of [runs, sound]) {
          const yDoc = new Document(NAME, sodium).yDoc
          if (!placeRuns(yDoc, some)) continue
          expect(yDoc.store.pendingStructs).toBeNull()
          expect(yDoc.store.pendingDs).toBeNull()
          expect(runsFit(some)).toBeTypeOf('boolean')
        }
      }),
      { numRuns: 3_000 },
    )
  })

  test('long texts are split where blocks end, a run never shrinks, and one block that is too long is told', () => {
    const yDoc = new Document(NAME, sodium).yDoc
    const incarnation = incarnationId(1)
    yDoc.clientID = Number.parseInt(incarnation.slice(0, 12), 16)
    const text = yDoc.getText('notes')
    const ends = Array.from({ length: 300 }, (_, at) => {
      text.insert(text.length, `${String(at).padStart(999, '.')}\n`)
      return { sequence: at + 1, clock: text.length }
    })
    const plans = [...planRuns(yDoc, incarnation, [], ends)]
    expect(plans).toHaveLength(3)
    let from = 0
    for (const plan of plans) {
      if (plan === 'too long') throw new Error(plan)
      expect(plan.from).toBe(from)
      expect(plan.update.length).toBeLessThanOrEqual(TEXT_RUN_BYTES_TARGET)
      from = plan.to
    }
    expect(from).toBe(text.length)
    const one = [{ sequence: 1, clock: 200_000 }]
    expect([...planRuns(yDoc, incarnation, [], one)]).toMatchObject([{ from: 0, to: 200_000 }])
    yDoc.transact(() => {
      for (let at = 180_000; at < 193_000; at += 2) text.delete(at, 1)
    })
    expect([...planRuns(yDoc, incarnation, [], one)]).toEqual(['too long'])
  })
})
