import { expect, test } from 'vitest'
import type { AgentId } from '../ids.ts'
import { HeadsWatch } from './heads-watch.ts'
import type { Shared } from './peer-plan.ts'

/** Documents that both read; the first so many of them were named by the peer. */
const documents = (named: number, all = 5): Shared[] =>
  Array.from({ length: all }, (_, at): Shared => {
    const dot = { incarnation: 'b1', sequence: 1, hash: 'b1' } as never
    return {
      name: { agent: 'a1' as AgentId, layer: `l${at}` },
      peerReads: true,
      bothRead: true,
      mine: [dot],
      receipted: [],
      confirmed: undefined,
      stored: [],
      handed: [],
      sent: [],
      named: at < named ? [dot] : undefined,
      iRead: undefined,
      lostOwn: false,
      askedAtMs: 0,
      askedSinceMs: undefined,
      pushedAtMs: 0,
      toSend: 0,
      toReceive: 0,
    }
  })

/** A peer with so many documents under its root, which has answered and was asked. */
function asked(watch: HeadsWatch, total: number): HeadsWatch {
  watch.documents = total
  watch.asked = watch.answered = true
  return watch
}

test('an answer about some counts for all only when as many are named as the peer says that it has', () => {
  const watch = new HeadsWatch()
  expect(asked(watch, 3).look(documents(2), true, true).answered).toBe(false)
  expect(asked(watch, 3).look(documents(3), true, true).answered).toBe(true)
  expect(asked(watch, 3).look(documents(4), true, true).answered).toBe(true)
  // One whose vector is empty has not been named.
  const empty = documents(3).with(0, { ...documents(3)[0]!, named: [] })
  expect(asked(watch, 3).look(empty, true, true).answered).toBe(false)
  // Nor does one count that only one of us reads: it is under no root.
  const other = documents(3).with(0, { ...documents(3)[0]!, bothRead: false })
  expect(asked(watch, 3).look(other, true, true).answered).toBe(false)
})

test('while more are named from one to the next, nothing was asked in vain', () => {
  const watch = new HeadsWatch()
  expect(asked(watch, 5).look(documents(1), true, true).asked).toBe(false)
  expect(asked(watch, 5).look(documents(2), true, true).asked).toBe(false)
  expect(asked(watch, 5).look(documents(2), true, true).asked).toBe(true)
  // Asked once is counted once.
  expect(watch.look(documents(2), true, true)).toMatchObject({ asked: false, answered: false })
  // Where the link takes no question, none could be asked.
  expect(watch.look(documents(2), true, true, true).asked).toBe(true)
  expect(watch.look(documents(3), true, true, true).asked).toBe(false)
})

test('documents of which neither lacks anything, and of which nothing was asked, are not looked at', () => {
  const [one, two, three] = documents(5)
  const all = [{ ...one!, toSend: 1 }, { ...two!, askedSinceMs: 4 }, { ...three!, toReceive: 2 }, ...documents(2, 2)]
  const { documents: seen, sameLog, differs } = new HeadsWatch().look(all, true, false)
  expect(seen.map(({ name }) => name.layer)).toEqual(['l0', 'l1', 'l2'])
  expect([sameLog, differs]).toEqual([false, true])
})
