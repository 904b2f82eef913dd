import * as fs from 'node:fs'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { REPOSITORY } from '../processes/program.ts'
import { missingIn, stepsOf } from './runbook.ts'
import { Stage } from './stage.ts'

/** Every command of every runbook is run, on machines as the runbook assumes them, and prints what it says. */

const FOLDER = path.join(REPOSITORY, 'docs/runbooks')
const RUNBOOK_MS = 170_000
/** Prose and tables; its commands are tried by test/src/rot. */
const WITHOUT_COMMANDS = ['damage.md', 'README.md']
const runbooks = fs.readdirSync(FOLDER).filter((name) => name.endsWith('.md') && !WITHOUT_COMMANDS.includes(name))

test('the list of runbooks names each', () => {
  const list = fs.readFileSync(path.join(FOLDER, 'README.md'), 'utf8')
  for (const name of [...runbooks, 'damage.md']) expect(list).toContain(`(${name})`)
})

describe('what a runbook says', () => {
  let stage: Stage
  beforeEach(async () => {
    stage = new Stage()
    await stage.open()
  }, RUNBOOK_MS)
  afterEach(async () => await stage.close())

  test.each(runbooks)('%s', { timeout: RUNBOOK_MS }, async (name) => {
    const steps = stepsOf(fs.readFileSync(path.join(FOLDER, name), 'utf8'))
    expect(steps.some(({ type }) => type === 'run')).toBe(true)
    for (const step of steps) {
      if (step.type === 'happens') {
        await stage.happens(step)
        continue
      }
      const output = await stage.run(step)
      const missing = missingIn(output, step.shows)
      if (missing !== undefined) expect.fail(`${name}:${step.line} prints no "${missing}":\n${output}`)
    }
  })
})
