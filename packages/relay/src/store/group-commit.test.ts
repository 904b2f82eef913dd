import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { GroupCommit, type Item } from './group-commit.ts'

/** A disk whose writes end when the test says so. */
function scene() {
  const writes: { operations: string[]; sync: boolean; end: (error?: Error) => void }[] = []
  const persisted: number[] = []
  const failed: number[] = []
  const commits = new GroupCommit<string>({
    write: (items: readonly Item<string>[], sync) =>
      new Promise((resolve, reject) => {
        const operations = items.flatMap((item) => item.operations)
        writes.push({ operations, sync, end: (error) => (error === undefined ? resolve() : reject(error)) })
      }),
    onPersisted: (receipts) => persisted.push(...receipts),
    onFailed: (receipts) => failed.push(...receipts),
    bytesOf: (operation) => operation.length,
  })
  return { writes, persisted, failed, commits }
}

test('everything of one turn is one write, and the next group fills while it is on its way', async () => {
  const { writes, persisted, commits } = scene()
  commits.add(['a'], 1)
  commits.add(['b'], 2)
  commits.add(['c'], null)
  await turn()
  expect(writes.map(({ operations }) => operations)).toEqual([['a', 'b', 'c']])
  commits.add(['d'], 3)
  await turn()
  commits.add(['e'], 4)
  await turn()
  expect(writes).toHaveLength(1)
  expect(persisted).toEqual([])
  writes[0]?.end()
  await turn()
  expect(persisted).toEqual([1, 2])
  expect(writes[1]?.operations).toEqual(['d', 'e'])
  writes[1]?.end()
  await turn()
  expect(persisted).toEqual([1, 2, 3, 4])
})

test('what nobody waits for is written too, without an fsync of its own', async () => {
  const { writes, persisted, commits } = scene()
  commits.add(['drop'], null)
  await turn()
  expect(writes).toEqual([])
  const settled = commits.settle()
  expect(writes.map(({ sync, operations }) => ({ sync, operations }))).toEqual([{ sync: false, operations: ['drop'] }])
  writes[0]?.end()
  await settled
  expect(persisted).toEqual([])
})

test('after a failed write nothing is written until it is mended, and what nobody waited for is not forgotten', async () => {
  const { writes, persisted, failed, commits } = scene()
  commits.add(['put'], 1)
  commits.add(['drop'], null)
  await turn()
  commits.add(['put 2'], 2)
  writes[0]?.end(new Error('no space left on device'))
  await turn()
  commits.add(['put 3'], 3)
  await turn()
  expect(failed).toEqual([1, 2, 3])
  expect(writes).toHaveLength(1)
  commits.mend()
  expect(writes[1]?.operations).toEqual(['drop'])
  writes[1]?.end()
  commits.add(['put 4'], 4)
  await turn()
  writes[2]?.end()
  await turn()
  expect(persisted).toEqual([4])
})

test('settling waits for what is on its way and what came meanwhile', async () => {
  const { writes, commits } = scene()
  commits.add(['a'], 1)
  await turn()
  commits.add(['b'], 2)
  let settled = false
  const settling = commits.settle().then(() => {
    settled = true
  })
  writes[0]?.end()
  await turn()
  expect(settled).toBe(false)
  writes[1]?.end()
  await settling
  expect(settled).toBe(true)
})

test('what is more than one batch should hold goes in several, in order, and each is answered when it is durable', async () => {
  const { writes, persisted, commits } = scene()
  const large = 'x'.repeat(100_000)
  for (let receipt = 1; receipt <= 5; receipt++) commits.add([large], receipt)
  commits.add(['loose'], null)
  await turn()
  expect(writes.map(({ operations }) => operations.length)).toEqual([3])
  writes[0]?.end()
  await turn()
  expect(persisted).toEqual([1, 2, 3])
  expect(writes[1]?.operations).toEqual([large, large, 'loose'])
  expect(writes[1]?.sync).toBe(true)
  writes[1]?.end()
  await turn()
  expect(persisted).toEqual([1, 2, 3, 4, 5])
})

test('a batch holds a bounded number of operations, however small', async () => {
  const { writes, persisted, commits } = scene()
  for (let receipt = 1; receipt <= 1_200; receipt++) commits.add(['x'], receipt)
  await turn()
  for (let at = 0; at < 3; at++) {
    writes[at]?.end()
    await turn()
  }
  expect(writes.map(({ operations }) => operations.length)).toEqual([512, 512, 176])
  expect(persisted).toHaveLength(1_200)
})

test('what nobody waits for does not gather without end, and goes to its last batch once it goes', async () => {
  const { writes, commits } = scene()
  for (let at = 0; at < 1_023; at++) commits.add(['x'], null)
  await turn()
  expect(writes).toEqual([])
  commits.add(['x'], null)
  await turn()
  for (let at = 0; at < 2; at++) {
    expect(writes[at]).toMatchObject({ sync: false, operations: { length: 512 } })
    writes[at]?.end()
    await turn()
  }
  expect(writes).toHaveLength(2)
})

test('one batch holds at least one item, however large, and a broken disk fails all that waits at once', async () => {
  const { writes, failed, commits } = scene()
  const large = 'x'.repeat(4_000_000)
  for (let receipt = 1; receipt <= 3; receipt++) commits.add([large], receipt)
  await turn()
  expect(writes[0]?.operations).toHaveLength(1)
  writes[0]?.end(new Error('the disk is full'))
  await turn()
  expect(failed).toEqual([1, 2, 3])
})
