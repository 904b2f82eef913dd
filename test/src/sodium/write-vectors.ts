import { writeFileSync } from 'node:fs'
import { loadSodium } from '@sealmesh/sodium/load'
import { buildEdgeCases } from './edge-cases.ts'
import { buildVectors } from './sodium-vectors.ts'

/** Writes test/vectors/sodium.json anew. Its bytes are libsodium's: they change with the vectors' choice only. */
const file = new URL('../../vectors/sodium.json', import.meta.url)
writeFileSync(file, `${JSON.stringify(buildVectors(await loadSodium('wasm')), null, 1)}\n`)

/** And test/vectors/edge-cases.json. */
const edges = new URL('../../vectors/edge-cases.json', import.meta.url)
writeFileSync(edges, `${JSON.stringify(buildEdgeCases(await loadSodium('wasm')), null, 1)}\n`)
