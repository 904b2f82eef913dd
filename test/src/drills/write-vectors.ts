import { writeFileSync } from 'node:fs'
import { loadSodium } from '@sealmesh/sodium/load'
import { buildVectors } from './drill-vectors.ts'

/** Writes test/vectors/drills.json anew, after a change of format: spec page 13 says what changed. */
const file = new URL('../../vectors/drills.json', import.meta.url)
writeFileSync(file, `${JSON.stringify(buildVectors(await loadSodium('wasm')), null, 1)}\n`)
