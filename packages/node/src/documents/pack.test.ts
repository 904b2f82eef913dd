import type { Intent } from '@sealmesh/protocol/crdt/writer'
import { BLOCK_WRITES_MAX, PAYLOAD_BYTES_TARGET, REGISTER_VALUE_BYTES_MAX } from '@sealmesh/protocol/limits'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { intentBytes, packIntents } from './pack.ts'

const set = (key: string, value = ''): { intent: Intent } => ({ intent: { type: 'set', key, value } })
const text: { intent: Intent } = { intent: { type: 'text', update: Uint8Array.of(1) } }
const shape = (blocks: { intent: Intent }[][]) =>
  blocks.map((block) => block.map(({ intent }) => (intent.type === 'text' ? '*' : intent.key)).join(''))

test('distinct keys share a block, and a repeated key starts the next one', () => {
  expect(shape(packIntents([set('a'), set('b'), set('a'), set('c'), set('b'), set('b')]))).toEqual(['ab', 'acb', 'b'])
})

test('a text stands alone, and order is kept around it', () => {
  expect(shape(packIntents([set('a'), text, text, set('b')]))).toEqual(['a', '*', '*', 'b'])
})

test('a block ends where a packet would, unless one value alone is larger', () => {
  const large = 'x'.repeat(PAYLOAD_BYTES_TARGET / 2)
  expect(shape(packIntents([set('a', large), set('b', large), set('c')]))).toEqual(['a', 'bc'])
  expect(shape(packIntents([set('a'), set('b', 'x'.repeat(REGISTER_VALUE_BYTES_MAX)), set('c')]))).toEqual([
    'a',
    'b',
    'c',
  ])
  expect(packIntents(Array.from({ length: BLOCK_WRITES_MAX }, (_, i) => set(`${i}`))).length).toBeGreaterThan(1)
})

test('no intent is lost, moved or doubled, whatever they are', () => {
  const intents = fc.array(
    fc.oneof(
      fc.record({
        type: fc.constant('set' as const),
        key: fc.string({ maxLength: 2 }),
        value: fc.string({ maxLength: 40_000 }),
      }),
      fc.record({ type: fc.constant('delete' as const), key: fc.string({ maxLength: 2 }) }),
      fc.record({ type: fc.constant('text' as const), update: fc.uint8Array({ maxLength: 8 }) }),
    ),
  )
  fc.assert(
    fc.property(intents, (all) => {
      const items = all.map((intent) => ({ intent }))
      const blocks = packIntents(items)
      expect(blocks.flat()).toEqual(items)
      for (const block of blocks) {
        const keys = block.map(({ intent }) => (intent.type === 'text' ? undefined : intent.key))
        expect(new Set(keys).size).toBe(keys.length)
        if (keys.includes(undefined)) expect(block).toHaveLength(1)
        const bytes = block.reduce((sum, { intent }) => sum + intentBytes(intent), 0)
        if (block.length > 1) expect(bytes).toBeLessThanOrEqual(PAYLOAD_BYTES_TARGET)
      }
    }),
  )
})
