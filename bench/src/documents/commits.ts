import * as fs from 'node:fs'
import * as path from 'node:path'
import { median, type Row, row } from '../result.ts'
import { measureIn } from './child.ts'
import type { CommitFigures } from './commits-run.ts'
import type { Part } from './part.ts'

/** Durable commits through a node, against LevelDB alone on the same disk. */
export const commits: Part = async ({ directory, runs, progress }) => {
  const all: CommitFigures[] = []
  for (let i = 0; i < runs; i++) {
    progress(`commits: run ${i + 1} of ${runs}`)
    const place = path.join(directory, `commits-${i}`)
    all.push(await measureIn<CommitFigures>('commits-run.js', [place]))
    fs.rmSync(place, { recursive: true })
  }
  const of = (pick: (figures: CommitFigures) => number) => median(all.map(pick))
  const [raw, put] = [of((each) => each.rawPerSecond), of((each) => each.putMs)]
  const [together, apart, alone] = [
    of((each) => each.oneDocumentPerSecond),
    of((each) => each.documentEachPerSecond),
    of((each) => each.commitMs),
  ]
  const rows: Row[] = [
    row({
      id: 'commits-64-writers',
      ours: together,
      rival: raw,
      unit: 'commits/s',
      bar: '>= 0.5 x classic-level, batches of 64, sync',
      ok: together >= 0.5 * raw,
    }),
    row({
      id: 'commits-64-writers-a-document-each',
      ours: apart,
      rival: raw,
      unit: 'commits/s',
      bar: null,
      ok: null,
    }),
    row({
      id: 'commit-latency-one-writer',
      ours: alone,
      rival: put,
      unit: 'ms',
      bar: '<= 2 x one synced put',
      ok: alone <= 2 * put,
    }),
  ]
  return {
    rows,
    notes: [
      'commits: 64 callers of the node that hosts them, each waiting for its commit to be durable before the next; a commit is one `set` of 100 bytes, signed. One document that all write, which lets commits share a block and its signature, and a document each, where every commit is a signature of its own.',
    ],
  }
}
