import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { allModels, MODELS, proverifVersion, verdictsOf } from './models.ts'

const command = process.env['PROVERIF'] ?? 'proverif'
const isInstalled = proverifVersion(command) !== undefined
const models = allModels()

test('every query of a model has a verdict to expect, and some model proves each claim while a weaker one fails it', () => {
  expect(models.length).toBeGreaterThan(5)
  for (const { file, expected, queries, title } of models) {
    expect([file, expected.length]).toEqual([file, queries])
    expect(title, file).not.toBe('')
    expect(title.startsWith('Weakened:'), file).toBe(expected[0] === 'false')
  }
})

test('the page lists every model with its verdicts', () => {
  const page = readFileSync(join(MODELS, 'README.md'), 'utf8')
  for (const { file, expected } of models)
    expect(page).toMatch(new RegExp(`\\| \`${file.replace('.', '\\.')}\` \\| .* \\| ${expected.join(', ')} \\|`))
})

test.skipIf(!isInstalled).each(models)(
  '$file has the verdicts that it should, by ProVerif',
  { timeout: 300_000 },
  ({ file, expected }) => {
    expect(verdictsOf(command, file)).toEqual(expected)
  },
)
