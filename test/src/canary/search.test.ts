import { describe, expect, test } from 'vitest'
import { Search } from './search.ts'

const planted = ['q7f3kd81mz0x2', 'zz9-plural-z-alpha', 'ünïcødé-näme-42']
const search = new Search(planted, [['an id', Buffer.from('00112233445566778899aabbccddeeff', 'hex')]])

describe('the search for planted strings', () => {
  test.each(planted)('finds %s raw, in hexadecimal and in base64, wherever it stands', (text) => {
    for (let before = 0; before < 7; before++) {
      const around = Buffer.concat([Buffer.alloc(before, 0xc3), Buffer.from(text), Buffer.alloc(9 - before, 0x5a)])
      const encodings = [
        around,
        ...(['hex', 'base64', 'base64url'] as const).map((each) => Buffer.from(around.toString(each))),
      ]
      for (const encoded of [...encodings, Buffer.from(around.toString('hex').toUpperCase())])
        expect(search.in(encoded).map((found) => found.planted)).toEqual(expect.arrayContaining([text]))
    }
  })

  test('finds raw bytes that have a name', () => {
    const bytes = Buffer.from('ff00112233445566778899aabbccddeeff00', 'hex')
    expect(search.in(bytes)).toEqual([{ planted: 'an id', form: 'raw' }])
  })

  test('finds nothing where nothing is planted, though parts of it are', () => {
    expect(search.in(Buffer.from('q7f3kd81mz0x zz9-plural-z-alph q7f3kd81m'))).toEqual([])
    expect(search.in(Buffer.alloc(0))).toEqual([])
  })
})
