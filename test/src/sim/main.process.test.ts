import { expect, test } from 'vitest'
import { simulated } from './slice.ts'

const TIMEOUT_MS = 180_000

test('nothing is lost with the real cryptography either', { timeout: TIMEOUT_MS }, async () => {
  const said = await simulated('--seeds', '4', '--from', '3', '--real-crypto')
  expect(said).toMatch(/^4 seeds from 3: 0 failed, .* crypto real,/)
})

test('seeds go the same way twice', { timeout: TIMEOUT_MS }, async () => {
  expect(await simulated('--seeds', '20', '--from', '40', '--twice')).toMatch(/^20 seeds from 40: 0 failed/)
})

test('two processes say what one says', { timeout: TIMEOUT_MS }, async () => {
  const seeds = ['--seeds', '4', '--from', '60']
  expect(await simulated(...seeds, '--jobs', '2')).toBe(await simulated(...seeds))
})
