import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { BoundedLog } from './bounded-log.ts'

const LIMITS = { bytesMax: 1_000, linesPerSecond: 100, charactersPerSecond: 10_000 }

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'bounded-log-'))
  onTestFinished(() => rm(path, { recursive: true }))
  return path
}
const say = (log: BoundedLog, line: string, nowMs = 0): void => {
  if (log.hasRoom(nowMs)) log.write(line)
}
const linesOf = async (path: string) => (await readFile(path, 'utf8')).trimEnd().split('\n')

test('lines come in order, in a file of this user alone, and those of one second have a bound', async () => {
  const path = join(await folder(), 'a.log')
  const log = new BoundedLog({ path, ...LIMITS, bytesMax: 100_000, linesPerSecond: 3, failed: () => expect.fail() })
  for (let n = 0; n < 5; n++) say(log, `{"n":${n}}`)
  say(log, '{"n":"later"}', 1_000)
  await log.close()
  expect(await linesOf(path)).toEqual([
    '{"n":0}',
    '{"n":1}',
    '{"n":2}',
    '{"at":"1970-01-01T00:00:00.000Z","leftOut":2}',
    '{"n":"later"}',
  ])
  expect((await stat(path)).mode & 0o777).toBe(0o600)
})

test('a file that is full makes room for the next, and one before it is kept, across starts', async () => {
  const path = join(await folder(), 'a.log')
  for (let start = 0; start < 5; start++) {
    const log = new BoundedLog({ path, ...LIMITS, failed: () => expect.fail() })
    for (let n = 0; n < 10; n++) say(log, `{"start":${start},"words":"${'x'.repeat(40)}"}`)
    await log.close()
  }
  expect((await stat(path)).size).toBeLessThanOrEqual(LIMITS.bytesMax)
  expect((await stat(`${path}.1`)).size).toBeLessThanOrEqual(LIMITS.bytesMax)
  expect((await linesOf(path)).at(-1)).toContain('"start":4')
  expect((await linesOf(`${path}.1`)).at(-1)).toContain('"start":3')
})

test('a disk that takes nothing is told of once, and what waits has a bound', async () => {
  const path = join(await folder(), 'none', 'a.log')
  const failures: unknown[] = []
  const log = new BoundedLog({ path, ...LIMITS, failed: (error) => failures.push(error) })
  let taken = 0
  for (let n = 0; n < 100; n++)
    if (log.hasRoom(n)) {
      log.write('y'.repeat(99))
      taken += 1
    }
  expect(taken).toBe(11)
  await log.close()
  say(log, 'again')
  await log.close()
  expect(failures).toHaveLength(1)
})
