import { writeFileSync } from 'node:fs'
import { letterVectors } from './letter-vectors.ts'

/** Writes test/vectors/letters.json anew, after a change of format: spec page 08 says what changed. */
const file = new URL('../../vectors/letters.json', import.meta.url)
writeFileSync(file, `${JSON.stringify(letterVectors(), null, 1)}\n`)
