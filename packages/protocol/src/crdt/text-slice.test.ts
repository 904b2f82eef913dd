import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import * as Y from 'yjs'
import { sliceText } from './text-slice.ts'

const CLIENTS = [7, 8, 9]
const NAMES = ['a', 'b']
const WORDS = ['x', 'words ', 'ä', '🙂', 'a longer line\n']

interface Step {
  readonly client: number
  readonly name: string
  readonly at: number
  readonly what: 'insert' | 'append' | 'delete' | 'bold'
  readonly words: string
}

const steps = fc.array(
  fc.record<Step>({
    client: fc.constantFrom(...CLIENTS),
    name: fc.constantFrom(...NAMES),
    at: fc.nat(),
    what: fc.constantFrom('insert', 'append', 'append', 'delete', 'delete', 'bold'),
    words: fc.constantFrom(...WORDS),
  }),
  { minLength: 3, maxLength: 70 },
)

function typed(all: readonly Step[]): Y.Doc {
  const yDoc = new Y.Doc()
  for (const { client, name, at, what, words } of all) {
    yDoc.clientID = client
    const text = yDoc.getText(name)
    if (what === 'delete' && text.length > 0) text.delete(at % text.length, 1)
    else if (what === 'bold' && text.length > 0) text.format(0, text.length, { bold: true })
    else text.insert(what === 'insert' ? at % (text.length + 1) : text.length, words)
  }
  return yDoc
}

/** Halves of a surrogate pair, cut apart, are nothing: no block ends there. */
const shown = (yDoc: Y.Doc, name: string): string =>
  yDoc
    .getText(name)
    .toString()
    .replaceAll(/[\uD800-\uDFFF\uFFFD]/g, '?')

test('cut anywhere, the slices of a text make it again', () => {
  fc.assert(
    fc.property(steps, fc.infiniteStream(fc.integer({ min: 1, max: 40 })), (all, lengths) => {
      const yDoc = typed(all)
      const updates = CLIENTS.flatMap((client) => {
        const end = Y.getState(yDoc.store, client)
        const of: Uint8Array[] = []
        for (let from = 0, to = 0; from < end; from = to) {
          to = Math.min(end, from + (lengths.next().value ?? 1))
          of.push(sliceText(yDoc, client, from, to, 100_000) ?? new Uint8Array())
        }
        return of
      })
      const copy = new Y.Doc()
      Y.applyUpdate(copy, Y.mergeUpdates(updates))
      expect([copy.store.pendingStructs, copy.store.pendingDs]).toEqual([null, null])
      for (const name of NAMES) expect(shown(copy, name)).toBe(shown(yDoc, name))
      // The same places, deleted ones too: what comes later finds what it names.
      const isCut = NAMES.some((name) => shown(yDoc, name) !== yDoc.getText(name).toString())
      for (const client of CLIENTS) {
        const end = Y.getState(yDoc.store, client)
        expect(Y.getState(copy.store, client)).toBe(end)
        if (!isCut) expect(sliceText(copy, client, 0, end, 1e6)).toEqual(sliceText(yDoc, client, 0, end, 1e6))
      }
    }),
    { numRuns: 500 },
  )
})

test('a slice says nothing of what others wrote in between', () => {
  fc.assert(
    fc.property(steps, fc.array(fc.nat(), { minLength: 1, maxLength: 20 }), (all, places) => {
      const yDoc = typed(all)
      const slices = () => CLIENTS.map((client) => sliceText(yDoc, client, 0, Y.getState(yDoc.store, client), 100_000))
      const before = slices()
      yDoc.clientID = 99
      for (const [i, at] of places.entries()) {
        const text = yDoc.getText(NAMES[i % NAMES.length])
        // A pair that is cut apart by others is another text.
        const inside = at % (text.length + 1)
        if (/[\uD800-\uDFFF\uFFFD]/.test(text.toString().slice(inside - 1, inside + 1))) continue
        text.insert(inside, 'between')
      }
      expect(slices()).toEqual(before)
    }),
    { numRuns: 300 },
  )
})

test('what is longer than it may be, or not all there, is no slice', () => {
  const yDoc = typed([{ client: 7, name: 'a', at: 0, what: 'append', words: 'a longer line\n' }])
  expect(sliceText(yDoc, 7, 0, 14, 60)).toHaveLength(24)
  expect(sliceText(yDoc, 7, 0, 14, 23)).toBeUndefined()
  expect(sliceText(yDoc, 7, 0, 15, 60)).toBeUndefined()
  expect(sliceText(yDoc, 8, 0, 1, 60)).toBeUndefined()
  expect(sliceText(yDoc, 8, 0, 0, 60)).toEqual(Uint8Array.of(0, 0))
})
