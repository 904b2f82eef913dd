import { writeFileSync } from 'node:fs'
import { loadSodium } from '@sealmesh/sodium/load'
import { buildVectors } from './sodium-vectors.ts'

/** Writes test/vectors/sodium.json anew. Its bytes are libsodium's: they change with the vectors' choice only. */
const file = new URL('../../vectors/sodium.json', import.meta.url)
writeFileSync(file, `${JSON.stringify(buildVectors(await loadSodium('wasm')), null, 1)}\n`)
