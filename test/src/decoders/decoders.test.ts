import { loadSodium } from '@sealmesh/sodium/load'
import { describe, expect, test } from 'vitest'
import { readSource, sourceFiles } from '../architecture/sources.ts'
import { allDecoders, NO_DECODERS } from './decoders.ts'
import { Mutations } from './mutations.ts'

/** A slice of what run.ts does, which hands each of them a million. */
const INPUTS = 1_000

const decoders = allDecoders(await loadSodium())

test('every decoder that packages/protocol exports is here', () => {
  const exported = sourceFiles('packages/protocol/src')
    .filter((path) => !path.endsWith('.test.ts'))
    .flatMap((path) => [
      ...readSource(path).matchAll(
        /^export (?:async )?(?:function|const) ((?:decode|parse|open|unwrap|read)\w*)([^)]*)/gm,
      ),
    ])
    // What reads on in somebody else's reader is a part of that.
    .filter(([, , parameters = '']) => !/\((?:\s*)(?:reader|r): Reader|read: \(reader: Reader/.test(parameters))
    .map(([, name = '']) => name)
  const known = new Set([...decoders.map(({ name }) => name), ...NO_DECODERS, 'decodeHeader', 'decodeWrites'])
  expect(exported.length).toBeGreaterThan(15)
  expect(exported.filter((name) => !known.has(name))).toEqual([])
  expect([...known].filter((name) => !exported.includes(name))).toEqual([])
})

describe('whatever it is handed', () => {
  test.each(decoders)('T-peer-9: $name refuses or reads it, and never throws', ({ name, samples, takes }) => {
    const inputs = new Mutations(`slice ${name}`, samples)
    expect(samples.some(takes)).toBe(true)
    for (let at = 0; at < INPUTS; at++) {
      const bytes = inputs.next()
      try {
        takes(bytes)
      } catch (cause) {
        throw new Error(`input ${at}: ${Buffer.from(bytes).toString('hex')}`, { cause })
      }
    }
  })
})
