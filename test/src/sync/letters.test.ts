import { readFileSync } from 'node:fs'
import { fromHex } from '@sealmesh/protocol/bytes'
import type { AgentId } from '@sealmesh/protocol/ids'
import { LETTER_BYTES_MAX } from '@sealmesh/protocol/limits'
import { decodePayload, encodePayload } from '@sealmesh/protocol/sync/payload'
import { kindOf } from '@sealmesh/protocol/sync/packet-kind'
import { expect, test } from 'vitest'
import { letterItems, letterVectors } from './letter-vectors.ts'

const golden = JSON.parse(readFileSync(new URL('../../vectors/letters.json', import.meta.url), 'utf8'))
const agent = 'a1'.repeat(32) as AgentId

test('letters and their answers are the golden bytes, and are read from them', () => {
  expect(letterVectors()).toEqual(golden)
  for (const [at, { bytes }] of letterVectors().payloads.entries())
    expect(decodePayload(fromHex(bytes))).toEqual({ ok: true, value: [letterItems[at]] })
})

test('what is over a bound, or says an outcome that is none, is refused', () => {
  const isRead = (recipients: number, letters: number, bytes: number): boolean => {
    const letter = { sender: agent, recipients: Array.from({ length: recipients }, () => agent) }
    const all = Array.from({ length: letters }, () => ({ ...letter, message: new Uint8Array(bytes) }))
    return decodePayload(encodePayload([{ type: 'letters', letters: all }])).ok
  }
  expect(isRead(64, 64, 1)).toBe(true)
  expect(isRead(65, 1, 1)).toBe(false)
  expect(isRead(1, 65, 1)).toBe(false)
  expect(isRead(1, 1, LETTER_BYTES_MAX)).toBe(true)
  expect(isRead(1, 1, LETTER_BYTES_MAX + 1)).toBe(false)
  const answers = fromHex(letterVectors().payloads[1]?.bytes ?? '')
  // Behind it is the greatest time that there is, in 8 bytes.
  const outcomeAt = answers.length - 9
  expect(decodePayload(answers.with(outcomeAt, 6)).ok).toBe(true)
  expect(decodePayload(answers.with(outcomeAt, 7)).ok).toBe(false)
})

test('answers look like other receipts from outside, and letters like what is written', () => {
  expect(letterItems.map((item) => kindOf([item]))).toEqual(['sync', 'control'])
})
