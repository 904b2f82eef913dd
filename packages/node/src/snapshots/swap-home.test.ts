import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  mkdirSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { resolveHome } from '../keys/home.ts'
import { beginDraft, finishRestore, swapHome } from './swap-home.ts'

const NAMES = ['keys', 'db', 'db.mirror', 'db.pin', 'diary', 'diary.pin', 'config.toml'] as const
let path = ''
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'sealmesh-swap-'))
})
afterEach(() => rmSync(path, { recursive: true, force: true }))

const fill = (folder: string, what: string, names: readonly string[]): void => {
  for (const name of names) {
    mkdirSync(join(folder, name))
    writeFileSync(join(folder, name, 'content'), what)
  }
}
const contentOf = (...parts: string[]): string => readFileSync(join(path, ...parts, 'content'), 'utf8')
const replacedIn = (): string[] => readdirSync(path).filter((name) => name.startsWith('replaced-'))

test('a draft takes the place of a home, which is whole beside it', async () => {
  const home = resolveHome(path, {})
  fill(path, 'old', NAMES)
  const draft = await beginDraft(home)
  fill(draft, 'new', ['keys', 'db'])
  const aside = await swapHome(home)
  expect(NAMES.filter((name) => existsSync(join(path, name)))).toEqual(['keys', 'db'])
  expect([contentOf('keys'), contentOf('db')]).toEqual(['new', 'new'])
  expect(readdirSync(aside ?? '').toSorted()).toEqual([...NAMES].toSorted())
  expect(existsSync(draft)).toBe(false)
})

test('wherever a crash cuts the swap off, the next start ends it, and nothing of either is lost', async () => {
  // Of the first phase so many names are aside already, of the second so many in place.
  for (const cut of Array.from({ length: 2 * NAMES.length + 2 }, (_, i) => i)) {
    const at = join(path, `cut-${cut}`)
    mkdirSync(at)
    const home = resolveHome(at, {})
    fill(at, 'old', NAMES)
    mkdirSync(join(at, 'run'))
    const draft = await beginDraft(home)
    fill(draft, 'new', NAMES)
    writeFileSync(join(draft, 'ready'), '')
    const inFirst = Math.min(cut, NAMES.length)
    const { mtimeMs } = (await import('node:fs')).lstatSync(join(draft, 'ready'))
    const aside = join(at, `replaced-${Math.floor(mtimeMs)}`)
    if (inFirst > 0) mkdirSync(aside)
    for (const name of NAMES.slice(0, inFirst)) renameSync(join(at, name), join(aside, name))
    if (cut > NAMES.length) {
      renameSync(join(draft, 'ready'), join(draft, 'aside'))
      for (const name of NAMES.slice(0, cut - NAMES.length - 1)) renameSync(join(draft, name), join(at, name))
    }
    await finishRestore(home)
    for (const name of NAMES) {
      expect([cut, name, readFileSync(join(at, name, 'content'), 'utf8')]).toEqual([cut, name, 'new'])
      expect([cut, name, readFileSync(join(aside, name, 'content'), 'utf8')]).toEqual([cut, name, 'old'])
    }
    expect(existsSync(draft)).toBe(false)
    await finishRestore(home)
    expect(readFileSync(join(at, 'db', 'content'), 'utf8')).toBe('new')
  }
})

test('what was not whole yet is thrown away by the next try, and touches nothing', async () => {
  const home = resolveHome(path, {})
  fill(path, 'old', ['keys', 'db'])
  fill(await beginDraft(home), 'half', ['keys'])
  await finishRestore(home)
  expect([contentOf('keys'), contentOf('db')]).toEqual(['old', 'old'])
  expect(readdirSync(await beginDraft(home))).toEqual([])
  expect(replacedIn()).toEqual([])
})
