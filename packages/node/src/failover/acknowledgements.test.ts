import type { Level } from '@sealmesh/protocol/failover/levels'
import type { RecordHash } from '@sealmesh/protocol/ids'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Acknowledged } from './acknowledgements.ts'
import { HOME, LAPTOP, OFFICE, TestHolder, upTo } from './test-holder.ts'

const SIGNAL = new AbortController().signal

let holder: TestHolder
beforeEach(() => {
  vi.useFakeTimers()
  holder = new TestHolder(() => Date.now())
})
afterEach(() => {
  holder.acknowledgements.close()
  vi.useRealTimers()
})

/** Waits, and says what came of it so far. */
function waiting(write: number, level: Level, timeoutMs = 60_000, name = holder.documents, signal = SIGNAL) {
  const state: { outcome?: Acknowledged } = {}
  void holder.acknowledgements.wait(name, upTo(write), level, timeoutMs, signal).then((outcome) => {
    state.outcome = outcome
  })
  return state
}
const turn = async (ms = 0): Promise<void> => void (await vi.advanceTimersByTimeAsync(ms))

describe('a write is', () => {
  test('replicated when every member has receipted it, and not before', async () => {
    const state = waiting(3, 'replicated')
    holder.says(OFFICE, 3)
    holder.says(LAPTOP, 2, { stored: 3 })
    await turn()
    expect(state.outcome).toBeUndefined()
    holder.says(LAPTOP, 3)
    await turn()
    expect(state.outcome).toMatchObject({
      done: true,
      level: 'replicated',
      copies: 3,
      members: [OFFICE, LAPTOP].toSorted(),
    })
  })

  test('relayed when each member has it, or the relay for it', async () => {
    const state = waiting(3, 'relayed')
    holder.says(OFFICE, 3)
    await turn()
    expect(state.outcome).toBeUndefined()
    holder.says(LAPTOP, 2, { stored: 3 })
    await turn()
    expect(state.outcome).toMatchObject({
      done: true,
      level: 'relayed',
      copies: 2,
      missing: [{ node: LAPTOP, stored: true }],
    })
  })

  test('not acknowledged by a receipt whose log heads are unknown', async () => {
    const state = waiting(3, 'replicated')
    holder.says(OFFICE, 3)
    holder.says(LAPTOP, 3, { confirmed: 2 })
    await turn(5_000)
    expect(state.outcome).toBeUndefined()
    holder.says(LAPTOP, 3)
    await turn()
    expect(state.outcome).toMatchObject({ done: true })
  })

  test('answered in the order in which it was written, each when its own turn comes', async () => {
    const states = [1, 2, 3, 4].map((write) => waiting(write, 'replicated'))
    holder.says(OFFICE, 4)
    holder.says(LAPTOP, 2)
    await turn()
    expect(states.map(({ outcome }) => outcome?.done ?? false)).toEqual([true, true, false, false])
    expect(holder.acknowledgements.size).toBe(2)
  })
})

describe('an available agent', () => {
  test('goes on with this disk alone when all have left, and says that it is one copy and local', async () => {
    holder.members = [HOME]
    const state = waiting(1, 'replicated')
    await turn()
    expect(state.outcome).toMatchObject({ done: true, level: 'local', copies: 1, left: [OFFICE, LAPTOP], members: [] })
  })

  test('waits for the members of both sets until the register lists the newer one', async () => {
    Object.assign(holder, { mode: 'auto', members: [HOME, OFFICE], listed: 'older' as RecordHash })
    const state = waiting(1, 'replicated')
    holder.says(OFFICE, 1)
    await turn()
    expect(state.outcome).toBeUndefined()
    holder.listed = 'newest' as RecordHash
    holder.acknowledgements.changed()
    await turn()
    expect(state.outcome).toMatchObject({ done: true, level: 'replicated', members: [OFFICE] })
  })

  test('waits for who is about to join', async () => {
    Object.assign(holder, { members: [HOME, OFFICE], joining: [LAPTOP] })
    const state = waiting(1, 'replicated')
    holder.says(OFFICE, 1)
    await turn()
    expect(state.outcome).toBeUndefined()
    holder.says(LAPTOP, 1)
    await turn()
    expect(state.outcome).toMatchObject({ done: true })
  })

  test('acknowledges nothing by a lease that lists no set', async () => {
    Object.assign(holder, { mode: 'auto' })
    const state = waiting(1, 'replicated', 1_000)
    holder.says(OFFICE, 1)
    holder.says(LAPTOP, 1)
    await turn(1_200)
    expect(state.outcome).toMatchObject({ done: false, waits: 'unlisted' })
  })
})

describe('a strict agent', () => {
  beforeEach(() => {
    holder.strict = true
  })
  test('waits for a standby when none is in its set', async () => {
    holder.members = [HOME]
    const state = waiting(1, 'replicated', 1_000)
    await turn(1_200)
    expect(state.outcome).toMatchObject({ done: false, level: 'local', waits: 'behind', waitedMs: expect.any(Number) })
    expect(state.outcome?.missing.map(({ node }) => node)).toEqual([OFFICE, LAPTOP])
  })
  test('that nobody stands by for is told at once, before anything is written', () => {
    holder.hosts = [HOME]
    const check = () => holder.acknowledgements.check(holder.documents, 'replicated')
    expect(check).toThrow(expect.objectContaining({ code: 'LEVEL_UNREACHABLE' }))
  })
})

describe('a level that cannot come is refused at once', () => {
  const refused = (name = holder.documents) =>
    expect(() => holder.acknowledgements.check(name, 'relayed')).toThrow(
      expect.objectContaining({ code: 'LEVEL_UNREACHABLE' }),
    )
  test('of a layer that nobody else reads', () => refused(holder.own))
  test('without a relay', () => {
    holder.relays = 0
    refused()
  })
  test('by a holder that may not act', () => {
    holder.fenced = true
    refused(holder.session)
    holder.acknowledgements.check(holder.documents, 'relayed') // Shared layers know no holder.
  })
  test('but `local` is refused to nobody', () => {
    holder.relays = 0
    holder.acknowledgements.check(holder.own, 'local')
  })
})

describe('a write of the holder alone', () => {
  test('is not acknowledged when the last word comes after its lease', async () => {
    const state = waiting(1, 'replicated', 60_000, holder.session)
    holder.says(OFFICE, 1)
    holder.fenced = true
    holder.says(LAPTOP, 1)
    await turn()
    expect(state.outcome).toMatchObject({ done: false, level: 'local', unreachable: 'fenced' })
  })
  test('is not acknowledged under a later term, be it of the same holder', async () => {
    const state = waiting(1, 'replicated', 60_000, holder.session)
    holder.says(OFFICE, 1)
    holder.term = 'term 3' as RecordHash
    holder.says(LAPTOP, 1)
    await turn()
    expect(state.outcome).toMatchObject({ done: false, unreachable: 'not-the-holder' })
  })
})

describe('whoever waits', () => {
  test('is told after its time who is missing', async () => {
    const state = waiting(1, 'replicated', 500)
    holder.says(OFFICE, 1, { stored: 1 })
    await turn(700)
    expect(state.outcome).toMatchObject({ done: false, level: 'local', missing: [{ node: LAPTOP, stored: false }] })
    expect(holder.acknowledgements.size).toBe(0)
  })

  test('is forgotten when it is gone', async () => {
    const gone = new AbortController()
    waiting(1, 'replicated', 60_000, holder.documents, gone.signal)
    gone.abort()
    await turn(200)
    expect(holder.acknowledgements.size).toBe(0)
  })

  test('costs no timer of its own, and none is left when nobody waits', async () => {
    const before = vi.getTimerCount()
    for (let write = 1; write <= 5_000; write++) waiting(write, 'replicated', 30_000)
    expect(vi.getTimerCount()).toBe(before + 1)
    holder.says(OFFICE, 5_000)
    holder.says(LAPTOP, 5_000)
    await turn(200)
    expect([holder.acknowledgements.size, vi.getTimerCount()]).toEqual([0, before])
  })

  test('is refused where thousands wait already', () => {
    for (let write = 1; write <= 16_384; write++) waiting(write, 'replicated')
    const check = () => holder.acknowledgements.check(holder.documents, 'replicated')
    expect(check).toThrow(expect.objectContaining({ code: 'CORE_BUSY' }))
  })

  test('for the relay has what brought no receipt sent once more', async () => {
    waiting(1, 'relayed')
    await turn(1_900)
    expect(holder.pushed).toEqual([])
    await turn(400)
    expect(new Set(holder.pushed)).toEqual(new Set([OFFICE, LAPTOP]))
  })
})
