import { writeFileSync } from 'node:fs'
import { buildVectors } from './frame-samples.ts'

/** Writes test/vectors/frames.json anew, after a change of format: a new version number, spec page and history line. */
const file = new URL('../../vectors/frames.json', import.meta.url)
writeFileSync(file, `${JSON.stringify(buildVectors(), null, 1)}\n`)
