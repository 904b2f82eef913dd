import { dependantsOf, makeTexts, placeRuns, runsFit } from './placed-runs.ts'
import { isSoundRun, type TextRun } from './text-run.ts'
import { sliceText } from './text-slice.ts'
import { writeVarUint } from 'lib0/encoding'
import { expect, test } from 'vitest'
import * as Y from 'yjs'

/** Whoever draws a base says what became of its texts: here somebody who says what nobody can have typed. */

/** The same numbers for the same seed. */
function dice(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const clientOf = (incarnation: string): number => Number.parseInt(incarnation.slice(0, 12), 16)
const [A, B, C] = ['1', '2', '3'].map((each) => each.repeat(32)) as [string, string, string]

type Insert = { readonly origin: Y.ID | null; readonly rightOrigin: Y.ID | null; readonly text: string }

function runOf(incarnation: string, from: number, inserts: readonly Insert[], parent: string | null): TextRun {
  const client = clientOf(incarnation)
  const encoder = new Y.UpdateEncoderV1()
  writeVarUint(encoder.restEncoder, inserts.length === 0 ? 0 : 1)
  if (inserts.length > 0) {
    writeVarUint(encoder.restEncoder, inserts.length)
    encoder.writeClient(client)
    writeVarUint(encoder.restEncoder, from)
  }
  let to = from
  for (const { origin, rightOrigin, text } of inserts) {
    const content = new Y.ContentString(text)
    // A parent is written where no neighbour tells it.
    new Y.Item(Y.createID(client, to), null, origin, null, rightOrigin, parent as never, null, content).write(
      encoder,
      0,
    )
    to += text.length
  }
  writeVarUint(encoder.restEncoder, 0)
  const end = { header: { incarnation, sequence: 1 } }
  return { end, from, to, update: encoder.toUint8Array() } as unknown as TextRun
}

const at = (incarnation: string, clock: number): Y.ID => Y.createID(clientOf(incarnation), clock)
const honest = () => runOf(A, 0, [{ origin: null, rightOrigin: null, text: 'abcdef' }], 'notes')

test.each<[string, Insert[]]>([
  ['its right neighbour lies to the left', [{ origin: at(A, 4), rightOrigin: at(A, 1), text: 'x' }]],
  ['both neighbours are one', [{ origin: at(A, 2), rightOrigin: at(A, 2), text: 'x' }]],
])('what could not be typed there is no text: %s', (_, inserts) => {
  const run = runOf(B, 0, inserts, null)
  expect(isSoundRun(run)).toBe(true)
  expect(runsFit([honest()])).toBe(true)
  expect(runsFit([honest(), run])).toBe(false)
})

test('what could not be typed there is no text: its neighbours stand in two texts', () => {
  const other = runOf(C, 0, [{ origin: null, rightOrigin: null, text: 'uvw' }], 'other')
  expect(runsFit([honest(), other])).toBe(true)
  expect(runsFit([honest(), other, runOf(B, 0, [{ origin: at(A, 1), rightOrigin: at(C, 1), text: 'x' }], null)])).toBe(
    false,
  )
})

test('T-peer-12: whatever a peer makes up, what is taken reads the same when it is edited and cut into runs anew', () => {
  let taken = 0
  for (let seed = 1; seed <= 3_000; seed++) {
    const pick = dice(seed)
    const inserts = ['XY', 'PQ'].map((text, place): Insert => {
      const id = () => {
        const clock = pick(7 + 2 * place)
        return clock === 6 + 2 * place ? null : clock < 6 ? at(A, clock) : at(B, clock - 6)
      }
      const origin = id()
      return { origin, rightOrigin: origin === null ? at(A, pick(6)) : id(), text }
    })
    const run = runOf(B, 0, inserts, null)
    if (!isSoundRun(run) || !runsFit([honest(), run])) continue
    taken += 1
    const yDoc = new Y.Doc()
    expect(placeRuns(yDoc, [honest(), run])).toBe(true)
    yDoc.clientID = clientOf(C)
    const text = yDoc.getText('notes')
    text.insert(pick(text.length + 1), 'ef')
    text.delete(pick(text.length - 2), 2)
    text.insert(pick(text.length + 1), 'g')
    const updates = [...yDoc.store.clients.keys()].map((client) => {
      const update = sliceText(yDoc, client, 0, Y.getState(yDoc.store, client), 10_000)
      if (update === undefined) throw new Error('A text can be cut.')
      return update
    })
    expect(makeTexts(updates, yDoc), `seed ${seed}`).toBe(true)
  }
  expect(taken).toBeGreaterThan(100)
})

test('what goes on from clocks that are set aside goes with them, also when it only deletes', () => {
  const gone = runOf(B, 0, [{ origin: at(A, 1), rightOrigin: at(A, 2), text: 'x' }], null)
  const built = runOf(C, 0, [{ origin: at(B, 0), rightOrigin: at(A, 2), text: 'yyy' }], null)
  const deletes = runOf(C, 3, [], null)
  const first = runOf(C, 0, [], null)
  expect(dependantsOf([gone], [honest(), built, deletes])).toEqual([built, deletes])
  expect(dependantsOf([gone], [honest(), first])).toEqual([])
})
