import { expect, test } from 'vitest'
import { GoodbyeLog } from './goodbye-log.ts'

const stranger = { event: 'goodbye', reason: 'HELLO_TIMEOUT', stranger: true } as const
const node = { event: 'goodbye', reason: 'READER_STALLED', stranger: false } as const

test('a storm of goodbyes is ten lines, and after its minute one that says how many more there were', () => {
  let nowMs = 0
  const said: object[] = []
  const log = new GoodbyeLog(
    (fields) => said.push(fields),
    () => nowMs,
  )
  for (let i = 0; i < 5_000; i++) log.note(stranger)
  log.note(node)
  expect(said).toEqual([...Array.from({ length: 10 }, () => stranger), node])
  nowMs = 59_999
  log.sweep()
  expect(said.length).toBe(11)
  nowMs = 60_000
  log.sweep()
  expect(said.slice(11)).toEqual([{ ...stranger, connections: 4_990 }])
  // The next minute begins with the next of them.
  log.note(stranger)
  expect(said.at(-1)).toEqual(stranger)
  log.close()
  expect(said.length).toBe(13)
})

test('what was not said when the relay stops is said then', () => {
  const said: object[] = []
  const log = new GoodbyeLog(
    (fields) => said.push(fields),
    () => 0,
  )
  for (let i = 0; i < 12; i++) log.note(stranger)
  log.close()
  log.close()
  expect(said.at(-1)).toEqual({ ...stranger, connections: 2 })
  expect(said.length).toBe(11)
})
