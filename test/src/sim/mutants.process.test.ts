import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { MUTANTS } from './mutants.ts'

const MAIN = fileURLToPath(new URL('../../dist/sim/main.js', import.meta.url))
const run = promisify(execFile)

const SHOWN = MUTANTS.flatMap(({ name, seed }) => (seed === undefined ? [] : [{ name, seed }]))

test.each(SHOWN)('without the rule that $name takes away, seed $seed fails', async ({ name, seed }) => {
  const failed = run(process.execPath, [MAIN, '--seeds', '1', '--from', `${seed}`, '--mutant', name])
  await expect(failed).rejects.toMatchObject({ code: 1, stdout: expect.stringMatching(new RegExp(`^seed ${seed}: `)) })
})
