import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROOT } from './sources.ts'

/**
 * A rule that never fires protects nothing: each is shown a violation, planted in a copy of the workspace's layout,
 * and must name it. Every line of `planted` ends in the rules that it breaks.
 */
const planted: Record<string, string> = {
  'packages/protocol/src/pure.ts': `
import { readFile } from 'node:fs/promises' // no-restricted-imports
import { load } from '@sealmesh/sodium/load' // no-restricted-imports
import { uint32 } from 'lib0/random' // no-restricted-imports
import { Shape } from './shape.ts' // consistent-type-imports
export const now = (): unknown => Date.now() // no-restricted-globals
export const today = (): unknown => new Date() // no-restricted-globals
export const dice = (): number => Math.random() // no-restricted-properties
export const later = (f: () => void): unknown => setTimeout(f, 1) // no-restricted-globals
export const often = (f: () => void): unknown => setInterval(f, 1) // no-restricted-globals
export const key = (): unknown => crypto // no-restricted-globals
export const self = (): unknown => process // no-restricted-globals
export const say = (): void => console.log('x') // no-console no-restricted-globals
export const loose = (x: any): Shape => x // no-explicit-any
export const known = [readFile, load, uint32]
`,
  'packages/node/src/promises.ts': `
export async function work(): Promise<number> { return 1 }
export function forget(): void { work() } // no-floating-promises
export function misuse(): void { [1].forEach(async () => work()) } // no-misused-promises
export async function wait(): Promise<void> { await 5 } // await-thenable no-unnecessary-await
export function pick(x: 'a' | 'b'): number { switch (x) { case 'a': return 1 } return 2 } // switch-exhaustiveness-check
export function fail(): never { throw 'words' } // only-throw-error
export default 3 // no-default-export
`,
  'packages/relay/src/seeing.ts': `
import { document } from '@sealmesh/protocol/crdt/document' // no-restricted-imports
import { log } from '@sealmesh/protocol/membership/log' // no-restricted-imports
import { open } from '@sealmesh/protocol/envelope/open' // no-restricted-imports
import { seal } from '@sealmesh/protocol/envelope/seal' // no-restricted-imports
import { link } from '@sealmesh/protocol/pairing/link' // no-restricted-imports
import { main } from '@sealmesh/node/main' // no-restricted-imports
import { header } from '@sealmesh/protocol/envelope/header'
import { packet } from '@sealmesh/protocol/envelope/packet'
import { frame } from '@sealmesh/protocol/wire/frame'
export const all = [document, log, open, seal, link, main, header, packet, frame]
`,
  'packages/relay/src/core/impure.ts': `
import { hostname } from 'node:os' // no-restricted-imports
import { document } from '@sealmesh/protocol/crdt/document' // no-restricted-imports
import { frame } from '@sealmesh/protocol/wire/frame'
import { Failure } from '@sealmesh/protocol/errors'
export const all = [hostname, document, frame, Failure, Math.random()] // no-restricted-properties
`,
  'packages/node/src/core/impure.ts': `
import { load } from '@sealmesh/sodium/load' // no-restricted-imports
import { diary } from '../diary/diary.ts' // no-restricted-imports
import { document } from '@sealmesh/protocol/crdt/document'
export const all = [load, diary, document, Date.now()] // no-restricted-globals
`,
  ...Object.fromEntries(
    ['uplink', 'sync', 'pairing', 'import'].map((part) => [
      `packages/node/src/${part}/leak.ts`,
      `
import { diary } from '../diary/diary.ts' // no-restricted-imports
import { relay } from '@sealmesh/relay/main' // no-restricted-imports
export const all = [diary, relay]
`,
    ]),
  ),
  'packages/node/src/BadName.ts': `export const x = 1 // filename-case\n`,
  'packages/node/src/vague.ts': `
import { x } from './utils.ts' // no-restricted-imports
import { y } from '@sealmesh/protocol' // no-restricted-imports
export const all = [x, y]
`,
}

const expected = (path: string) =>
  (planted[path] ?? '')
    .split('\n')
    .flatMap((line, at) => (line.split(' // ')[1]?.split(' ') ?? []).map((rule) => `${path}:${at + 1} ${rule}`))

describe('each lint rule fires on a planted violation, and only there', () => {
  let folder = ''
  const found = new Set<string>()

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sealmesh-lint-'))
    for (const name of ['.oxlintrc.json', 'tsconfig.base.json']) copyFileSync(join(ROOT, name), join(folder, name))
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    for (const [path, source] of Object.entries(planted)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), source)
    }
    for (const name of ['protocol', 'relay', 'node'])
      writeFileSync(
        join(folder, 'packages', name, 'tsconfig.json'),
        '{ "extends": "../../tsconfig.base.json", "include": ["src"] }',
      )
    const report = JSON.parse(await lint(folder)) as {
      diagnostics: { code: string; filename: string; labels: { span: { line: number } }[] }[]
    }
    for (const { code, filename, labels } of report.diagnostics)
      found.add(`${filename}:${labels[0]?.span.line ?? 1} ${/\(([^)]+)\)/.exec(code)?.[1] ?? code}`)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test.each(Object.keys(planted))('%s', (path) => {
    expect([...found].filter((entry) => entry.startsWith(`${path}:`)).toSorted()).toEqual(expected(path).toSorted())
  })
})

/** Exit 1 is what is wanted here: only the report counts. */
const lint = (folder: string) =>
  new Promise<string>((resolve, reject) => {
    const args = [join(ROOT, 'node_modules/oxlint/bin/oxlint'), '--type-aware', '--format=json']
    execFile(process.execPath, args, { cwd: folder, maxBuffer: 1 << 24 }, (error, stdout) =>
      stdout.startsWith('{') ? resolve(stdout) : reject(error ?? new Error('oxlint reported nothing')),
    )
  })
