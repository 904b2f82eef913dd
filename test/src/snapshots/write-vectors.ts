import { writeFileSync } from 'node:fs'
import { loadSodium } from '@sealmesh/sodium/load'
import { buildVectors } from './vectors.ts'

/** Writes test/vectors/snapshots.json anew, after a change of format: a new version number, spec page and history line. */
const file = new URL('../../vectors/snapshots.json', import.meta.url)
writeFileSync(file, `${JSON.stringify(buildVectors(await loadSodium('wasm')), null, 1)}\n`)
