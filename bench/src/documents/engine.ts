import { median, type Row, row } from '../result.ts'
import { measureIn } from './child.ts'
import type { EngineFigures, EngineName } from './engine-run.ts'
import type { Part } from './part.ts'

interface Shape {
  readonly keys: number
  readonly writers: 1 | 2
  readonly writes: number
  readonly rivals: readonly EngineName[]
  /** Whether the bars are measured against this shape. */
  readonly barred: boolean
}

const SHAPES: readonly Shape[] = [
  ...[10, 1_000, 10_000].flatMap((keys) =>
    ([1, 2] as const).map(
      (writers): Shape => ({ keys, writers, writes: 1_000_000, rivals: ['y-map', 'y-key-value'], barred: true }),
    ),
  ),
  { keys: 10, writers: 1, writes: 100_000, rivals: ['y-map', 'automerge', 'loro'], barred: false },
]
/** Two YKeyValues that remove each other's entries make some thousand writes a second: a million take half an hour. */
const KEY_VALUE_WRITES_OF_TWO = 20_000

/** The register engines alone: overwriting the same keys, by one writer, or by two that merge each other's every write. */
export const engine: Part = async ({ runs, progress }) => {
  const rows: Row[] = []
  for (const shape of SHAPES) {
    const name = `engine-${shape.keys}-keys-${shape.writers === 1 ? 'one-writer' : 'two-writers'}${shape.barred ? '' : '-100000-writes'}`
    const systems: readonly EngineName[] = ['ours', ...shape.rivals]
    const figures = new Map<EngineName, EngineFigures[]>(systems.map((system) => [system, []]))
    for (let run = 0; run < runs; run++)
      for (const system of systems) {
        progress(`${name}: ${system}, run ${run + 1} of ${runs}`)
        const slow = system === 'y-key-value' && shape.writers === 2
        const args = [system, shape.keys, shape.writers, slow ? KEY_VALUE_WRITES_OF_TWO : shape.writes]
        figures.get(system)?.push(await measureIn<EngineFigures>('engine-run.js', args))
      }
    const of = (system: EngineName, pick: (each: EngineFigures) => number) =>
      median((figures.get(system) ?? []).map(pick))
    rows.push(...rowsOf(name, shape, of))
  }
  return { rows, notes: NOTES }
}

type Of = (system: EngineName, pick: (each: EngineFigures) => number) => number

function rowsOf(name: string, { rivals, barred }: Shape, of: Of): Row[] {
  const rows: Row[] = []
  const live = of('ours', (each) => each.liveBytes)
  const state = of('ours', (each) => each.encodedBytes)
  const proof = of('ours', (each) => each.proofBytes)
  for (const rival of rivals) {
    const speed = [of('ours', (each) => each.opsPerSecond), of(rival, (each) => each.opsPerSecond)] as const
    const heap = [of('ours', (each) => each.heapBytes), of(rival, (each) => each.heapBytes)] as const
    const compared = barred && rival === 'y-map'
    rows.push(
      row({
        id: `${name}-ops-vs-${rival}`,
        ours: speed[0],
        rival: speed[1],
        unit: 'ops/s',
        bar: compared ? '>= 2 x Y.Map' : null,
        ok: compared ? speed[0] >= 2 * speed[1] : null,
      }),
      ...heapRows(name, rival, heap, compared),
      row({
        id: `${name}-encoded-vs-${rival}`,
        ours: state,
        rival: of(rival, (each) => each.encodedBytes),
        unit: 'bytes',
        bar: null,
        ok: null,
      }),
    )
  }
  if (!barred) return rows
  rows.push(
    row({
      id: `${name}-encoded-state`,
      ours: state,
      rival: live,
      unit: 'bytes',
      bar: '<= 2 x the live data',
      ok: state <= 2 * live,
    }),
    row({
      id: `${name}-proof-of-authorship`,
      ours: proof,
      rival: state,
      unit: 'bytes',
      bar: '<= as many again as the encoded state',
      ok: proof <= state,
    }),
  )
  return rows
}

/** Memory of WebAssembly is not V8's to count, so rivals that live there have no such figure. */
function heapRows(
  name: string,
  rival: EngineName,
  [ours, theirs]: readonly [number, number],
  compared: boolean,
): Row[] {
  if (rival === 'automerge' || rival === 'loro') return []
  return [
    row({
      id: `${name}-heap-vs-${rival}`,
      ours: ours / 1_024,
      rival: theirs / 1_024,
      unit: 'KiB',
      bar: compared ? '<= 0.1 x Y.Map' : null,
      ok: compared ? ours <= 0.1 * theirs : null,
    }),
  ]
}

const NOTES = [
  'engine: keys are written round and round with values of 84 bytes, keys and values some 94 bytes together, without signing, storing or sending. Two writers: two replicas that write in turn, each write merged at the other at once as that system passes writes on (Yjs: its update; Automerge: its change; Loro: its export from the other version).',
  `engine: two YKeyValues make ${KEY_VALUE_WRITES_OF_TWO} writes instead of a million, for their heap and encoding too.`,
  'engine: heap is what all replicas hold after a collection, less what was there before. Encoded: one replica, as that system saves it. "Live data": the bytes of keys and values. "proof-of-authorship": hashes that name the signed blocks of surviving writes, in the encoding.',
]
