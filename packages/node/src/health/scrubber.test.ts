import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { utf8 } from '@sealmesh/protocol/bytes'
import { loadSodium } from '@sealmesh/sodium/load'
import { Level } from 'level'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Documents } from '../documents/documents.ts'
import { DamageBook } from '../store/damage-book.ts'
import { DocumentIndex } from '../store/document-index.ts'
import { TABLES } from '../store/keys.ts'
import { Meta } from '../store/meta.ts'
import { openSoundStore } from '../store/open-store.ts'
import { decodedBlock } from '../store/survey.ts'
import { HomeHealth } from './home-health.ts'
import { scrub, type ScrubDeps, type ScrubPosition } from './scrub.ts'
import { Scrubber } from './scrubber.ts'

/** A database of some steps, in which three entries have changed. */
const ENTRIES = 2_000
const FLIPPED = [3, 900, 1_990]
const STEP_BYTES = 262_144
const MINUTE_MS = 60_000
let directory: string
let cases = 0

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealmesh-scrubber-'))
  const { close, main } = await open('whole')
  const put = (at: number) => ({ type: 'put', key: keyOf(at), value: utf8(`${at} `.repeat(200)) }) as const
  await main.store.commit(Array.from({ length: ENTRIES }, (_, at) => put(at)))
  await close()
  const level = new Level<Uint8Array, Uint8Array>(join(directory, 'whole', 'db'), {
    keyEncoding: 'view',
    valueEncoding: 'view',
  })
  for (const at of FLIPPED) {
    const value = Uint8Array.from((await level.get(keyOf(at))) ?? [])
    value[at % value.length]! ^= 1
    await level.put(keyOf(at), value)
  }
  await level.close()
})
afterAll(() => rm(directory, { recursive: true }))

const keyOf = (at: number) => Uint8Array.of(TABLES.receipt, at >> 8, at & 0xff)

/** What a scrub works on; no documents. */
async function open(home: string): Promise<ScrubDeps & { readonly close: () => Promise<void> }> {
  const settings = { now: Date.now, monotonicMs: () => performance.now() }
  const main = await openSoundStore(join(directory, home, 'db'), { ...settings, mirrored: true })
  const diary = await openSoundStore(join(directory, home, 'diary'), { ...settings, mirrored: false })
  const sodium = await loadSodium()
  const surveyed = {
    store: main.store,
    sodium,
    decode: (bytes: Uint8Array) => decodedBlock(bytes, sodium),
    exists: () => true,
  }
  return {
    main,
    diary,
    documents: {} as Documents,
    index: await DocumentIndex.load(main.store),
    damage: await DamageBook.load(surveyed),
    surveyed,
    record: () => undefined,
    wantRecords: () => undefined,
    checkKeys: async () => [],
    close: async () => {
      await main.close()
      await diary.close()
    },
  }
}

async function copy(): Promise<string> {
  cases += 1
  await cp(join(directory, 'whole'), join(directory, `case${cases}`), { recursive: true })
  return `case${cases}`
}

/** At most so many steps, behind `from`. */
async function walk(home: string, stepsMax: number, from?: ScrubPosition) {
  const deps = await open(home)
  const walked = { steps: 0, bytes: 0, found: 0, position: from, ended: true }
  for await (const { bytes, findings, position } of scrub(deps, from)) {
    walked.steps += 1
    walked.bytes += bytes
    walked.found += findings.length
    walked.position = position ?? walked.position
    walked.ended = walked.steps < stepsMax
    if (!walked.ended) break
  }
  await deps.close()
  return walked
}

test('cut after any step, a scrub that goes on behind its last place finds all and reads little twice', async () => {
  const whole = await walk(await copy(), Number.POSITIVE_INFINITY)
  expect(whole).toMatchObject({ found: FLIPPED.length, ended: true })
  expect(whole.steps).toBeGreaterThan(8)
  for (let steps = 1; steps < whole.steps; steps++) {
    const home = await copy()
    const first = await walk(home, steps)
    const rest = await walk(home, Number.POSITIVE_INFINITY, first.position)
    expect(first.found + rest.found, `cut after ${steps}`).toBe(FLIPPED.length)
    if (first.position?.part !== 'entries') continue // Opening a database anew changes its files.
    expect(first.bytes + rest.bytes, `cut after ${steps}`).toBeLessThan(whole.bytes + 2 * STEP_BYTES)
  }
})

test('a slow scrub gets to its end over many starts, each of which is too short for it', async () => {
  const home = await copy()
  let nowMs = 1_000_000_000
  const told: string[] = []
  let before = 0
  for (let starts = 1; ; starts++) {
    expect(starts).toBeLessThan(40)
    const deps = await open(home)
    const meta = new Meta(deps.main.store)
    const failed = (error: unknown) => expect.fail(String(error))
    const health = await HomeHealth.load(meta, () => nowMs, failed)
    health.onNews = (_, what) => told.push(what)
    const scrubber = await Scrubber.load({ scrub: deps, meta, health, now: () => nowMs, failed })
    nowMs += MINUTE_MS
    scrubber.whenDue()
    const begun = scrubber.state.bytes
    expect(begun, 'what an earlier start had read').toBeGreaterThanOrEqual(before)
    await expect.poll(() => scrubber.state.bytes > begun || !scrubber.state.running, { timeout: 10_000 }).toBe(true)
    await scrubber.close()
    await health.close()
    const { finishedAtMs } = scrubber.state
    await deps.close()
    if (finishedAtMs !== null) {
      expect(starts).toBeGreaterThan(3)
      break
    }
    before = begun
  }
  expect(told).toHaveLength(FLIPPED.length)
})
