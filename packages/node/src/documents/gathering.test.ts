import { expect, test } from 'vitest'
import type { Job } from './filling.ts'
import { Gathering } from './gathering.ts'

const ignored = () => undefined
const job = (bytes = 8_000): Job => ({
  type: 'write',
  intents: [{ type: 'set', key: 'k', value: 'x'.repeat(bytes) }],
  resolve: ignored,
  reject: ignored,
})

/** How many turns of the loop it takes, up to a bound; timers take more than one. */
async function turns(gathering: Gathering, queue: readonly Job[]): Promise<number> {
  let done = false
  void gathering.gather(queue).then(() => {
    done = true
  })
  let count = 0
  for (await Promise.resolve(); !done; count++) await new Promise(setImmediate)
  return count
}

test('who writes alone, or little, never waits', async () => {
  const gathering = new Gathering()
  expect(await turns(gathering, [job()])).toBe(0)
  gathering.note({ writers: 1, bytes: 1_000_000 })
  expect(await turns(gathering, [job()])).toBe(0)
  gathering.note({ writers: 100, bytes: 5_000 })
  expect(await turns(gathering, [job()])).toBe(0)
})

test('callers that are all back do not wait for others', async () => {
  const gathering = new Gathering()
  gathering.note({ writers: 5, bytes: 40_000 })
  const queue: Job[] = []
  setImmediate(() => queue.push(job(), job(), job(), job(), job()))
  expect(await turns(gathering, queue)).toBeLessThanOrEqual(2)
})

test('while more keep coming it waits for as many as there were, and no longer than its bound', async () => {
  const gathering = new Gathering()
  gathering.note({ writers: 40, bytes: 40_000 })
  const queue = [job(10)]
  const coming = setInterval(() => queue.push(job(10)), 1)
  await gathering.gather(queue)
  clearInterval(coming)
  expect(queue.length).toBeGreaterThan(1)
  expect(queue.length).toBeLessThan(40)
})

test('it does not wait for those who do not come, and not twice for the same', async () => {
  const gathering = new Gathering()
  gathering.note({ writers: 5, bytes: 40_000 })
  const queue = [job()]
  await gathering.gather(queue)
  expect(queue).toHaveLength(1)
  expect(await turns(gathering, queue)).toBe(0)
})

test('a batch that is large enough goes', async () => {
  const gathering = new Gathering()
  gathering.note({ writers: 40, bytes: 40_000 })
  expect(await turns(gathering, [job(100_000), job(100_000)])).toBeLessThanOrEqual(2)
})
