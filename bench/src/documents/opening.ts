import * as fs from 'node:fs'
import * as path from 'node:path'
import { copyFolder } from '@sealmesh/test/processes/copy-folder'
import { RelayProcess } from '@sealmesh/test/processes/relay'
import { median, row } from '../result.ts'
import { measureIn } from './child.ts'
import { foundPair } from './mesh.ts'
import type { OpeningFigures } from './opening-run.ts'
import type { Part } from './part.ts'

const DOCUMENTS = 10_000
const REGISTERS = 100
const MIB = 1_048_576
const NAMES = ['none', 'one', 'many'] as const

/**
 * A node that starts with 10,000 documents of the agent that lives there, against one that starts with a single
 * document. Both have a peer. Each start is a process of its own.
 */
export const opening: Part = async ({ directory, runs, progress }) => {
  const place = path.join(directory, 'opening')
  const relay = await RelayProcess.start({ data: path.join(place, 'relay') })
  const paired = { home: path.join(place, 'paired'), office: path.join(place, 'office') }
  try {
    await foundPair(relay, paired, [])
  } finally {
    await relay.stop()
  }
  const homes = { none: path.join(place, 'none'), one: path.join(place, 'one'), many: path.join(place, 'many') }
  const documents = { none: 0, one: 1, many: DOCUMENTS }
  for (const name of NAMES) {
    progress(`opening: writing ${documents[name]} documents`)
    copyFolder(paired.home, homes[name])
    await measureIn('opening-build.js', [homes[name], documents[name], REGISTERS])
  }
  const figures: Record<keyof typeof homes, OpeningFigures[]> = { none: [], one: [], many: [] }
  for (let i = 0; i < runs; i++) {
    progress(`opening: run ${i + 1} of ${runs}`)
    for (const name of NAMES)
      figures[name].push(await measureIn<OpeningFigures>('opening-run.js', [homes[name], documents[name]]))
  }
  fs.rmSync(place, { recursive: true })
  const of = (name: keyof typeof homes, pick: (each: OpeningFigures) => number) => median(figures[name].map(pick))
  const opened = [of('many', (each) => each.openMs), of('one', (each) => each.openMs)] as const
  const idle = of('many', (each) => each.idleBytes) / MIB
  const after = of('many', (each) => each.afterReadingBytes) / MIB
  const empty = of('none', (each) => each.idleBytes) / MIB
  const emptyAfter = of('none', (each) => each.afterReadingBytes) / MIB
  const heap = [of('many', (each) => each.heapBytes) / MIB, of('none', (each) => each.heapBytes) / MIB] as const
  const bar = '<= the empty node + 100 MiB'
  return {
    rows: [
      row({
        id: 'opening-10000-documents',
        ours: opened[0],
        rival: opened[1],
        unit: 'ms',
        bar: '<= 1.5 x a node with one document',
        ok: opened[0] <= 1.5 * opened[1],
      }),
      row({ id: 'memory-idle', ours: idle, rival: empty, unit: 'MiB', bar, ok: idle <= empty + 100 }),
      row({
        id: 'memory-idle-after-reading-all',
        ours: after,
        rival: emptyAfter,
        unit: 'MiB',
        bar,
        ok: after <= emptyAfter + 100,
      }),
      row({ id: 'heap-idle-after-reading-all', ours: heap[0], rival: heap[1], unit: 'MiB', bar: null, ok: null }),
    ],
    notes: [
      `opening: until the local socket answers; ${DOCUMENTS} documents of ${REGISTERS} registers, of the agent that lives there. The "rival" is the same node with one document; for memory, with none.`,
      'memory: resident, after a collection; then again after every document was read once and 2 s have passed.',
    ],
  }
}
