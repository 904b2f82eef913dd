import { writeFileSync } from 'node:fs'
import { loadSodium } from '@sealmesh/sodium/load'
import { buildVectors } from './block-vectors.ts'
import { buildPrunedVectors } from './pruned-vectors.ts'
import { buildRunVectors } from './run-vectors.ts'

/** Writes blocks.json, pruned.json and text-runs.json anew, after a change of format: a new version number, spec page and history line. */
const sodium = await loadSodium()
const write = (name: string, vectors: unknown): void =>
  writeFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), `${JSON.stringify(vectors, null, 1)}\n`)

write('blocks', buildVectors(sodium))
write('pruned', buildPrunedVectors(sodium))
write('text-runs', buildRunVectors(sodium))
