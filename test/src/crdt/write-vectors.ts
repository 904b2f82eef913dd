import { writeFileSync } from 'node:fs'
import { loadSodium } from '@sealmesh/sodium/load'
import { buildVectors } from './block-vectors.ts'

/** Writes test/vectors/blocks.json anew, after a change of format: a new version number, spec page and history line. */
const file = new URL('../../vectors/blocks.json', import.meta.url)
writeFileSync(file, `${JSON.stringify(buildVectors(await loadSodium()), null, 1)}\n`)
