import * as fs from 'node:fs'
import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { REPOSITORY } from '../processes/program.ts'
import { missingIn, stepsOf } from '../runbooks/runbook.ts'
import { Stage } from '../runbooks/stage.ts'

/** Every command of the page for a relay's owner is run, and prints what the page says. */

const PAGE = path.join(REPOSITORY, 'docs/relay/operations.md')
let stage: Stage

beforeAll(async () => {
  stage = new Stage()
  await stage.open()
}, 120_000)
afterAll(async () => await stage.close())

test('docs/relay/operations.md', { timeout: 170_000 }, async () => {
  for (const step of stepsOf(fs.readFileSync(PAGE, 'utf8'))) {
    if (step.type === 'happens') {
      await stage.happens(step)
      continue
    }
    const output = await stage.run(step)
    const missing = missingIn(output, step.shows)
    if (missing !== undefined) expect.fail(`line ${step.line} prints no "${missing}":\n${output}`)
  }
})
