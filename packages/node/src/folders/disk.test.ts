import * as fs from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { RealDisk } from './disk.ts'
import { Trash } from './trash.ts'

let directory: string
let root: string
let disk: RealDisk
let trash: Trash
let nowMs = 0
let names = 0

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealmesh-disk-'))
  root = join(directory, 'folder')
  fs.mkdirSync(root)
  nowMs = 1_000_000
  trash = new Trash(join(directory, 'trash'), () => nowMs)
  disk = new RealDisk(root, trash, () => String(names++))
})
afterEach(async () => await rm(directory, { recursive: true, force: true }))

const put = (path: string, content: string): void => fs.writeFileSync(join(root, path), content)
const text = (path: string): string => fs.readFileSync(join(root, path), 'utf8')
const bytes = (content: string): Uint8Array => new TextEncoder().encode(content)
const replace = async (path: string, content: string, expected: Awaited<ReturnType<RealDisk['look']>>) =>
  await disk.replace(path, bytes(content), { expected, executable: false })
const skipNothing = (): boolean => false

describe('replacing a file', () => {
  test('keeps the old one at hand, with what a program that had it open still writes', async () => {
    put('a.md', 'one\n')
    const open = fs.openSync(join(root, 'a.md'), 'a')
    const outcome = await replace('a.md', 'two\n', await disk.look('a.md'))
    expect(text('a.md')).toBe('two\n')
    fs.writeSync(open, 'late\n')
    fs.closeSync(open)
    if (outcome.type !== 'done' || outcome.retired === undefined) throw new Error(outcome.type)
    expect(Buffer.from((await disk.readRetired(outcome.retired)) ?? []).toString()).toBe('one\nlate\n')
    await disk.dropRetired(outcome.retired)
    expect(fs.readdirSync(root)).toEqual(['a.md'])
  })
  test('is refused when it is not what was expected, or there at all when nothing was', async () => {
    put('a.md', 'one\n')
    const seen = await disk.look('a.md')
    fs.writeFileSync(join(root, 'a.md'), 'changed\n')
    expect(await replace('a.md', 'two\n', seen)).toEqual({ type: 'changed' })
    expect(await replace('a.md', 'two\n', undefined)).toEqual({ type: 'changed' })
    expect(text('a.md')).toBe('changed\n')
    fs.rmSync(join(root, 'a.md'))
    expect(await replace('a.md', 'two\n', seen)).toEqual({ type: 'changed' })
    expect(fs.readdirSync(root)).toEqual([])
  })
  test('keeps the mode of the old one, and makes none executable unasked', async () => {
    put('a.md', 'one\n')
    fs.chmodSync(join(root, 'a.md'), 0o640)
    await replace('a.md', 'two\n', await disk.look('a.md'))
    expect(fs.statSync(join(root, 'a.md')).mode & 0o777).toBe(0o640)
    await disk.replace('run', bytes('x'), { expected: undefined, executable: true })
    expect(fs.statSync(join(root, 'run')).mode & 0o100).toBe(0o100)
  })
  test('does not go through links, nor make the folder itself', async () => {
    const outside = join(directory, 'outside')
    fs.mkdirSync(outside)
    fs.writeFileSync(join(outside, 'b.md'), 'outside\n')
    fs.symlinkSync(outside, join(root, 'linked'))
    fs.symlinkSync(join(outside, 'b.md'), join(root, 'b.md'))
    expect((await replace('linked/a.md', 'x', undefined)).type).toBe('blocked')
    expect((await replace('linked/b.md', 'x', undefined)).type).toBe('blocked')
    expect((await replace('b.md', 'x', undefined)).type).toBe('changed')
    const link = await disk.look('b.md')
    expect(link?.type).toBe('link')
    if (link !== undefined) expect(await disk.read(link)).toBe(undefined)
    expect(await disk.look('linked/b.md')).toBe(undefined)
    expect(await disk.scan('', skipNothing)).toHaveLength(2)
    expect(fs.readFileSync(join(outside, 'b.md'), 'utf8')).toBe('outside\n')
    expect(fs.readdirSync(outside)).toEqual(['b.md'])
    fs.rmSync(root, { recursive: true })
    expect((await replace('a.md', 'x', undefined)).type).toBe('blocked')
    expect(fs.existsSync(root)).toBe(false)
  })
})

describe('removing a file', () => {
  test('puts it into the trash and takes the folders that it leaves empty', async () => {
    fs.mkdirSync(join(root, 'a/b'), { recursive: true })
    put('a/b/c.md', 'one\n')
    const found = await disk.look('a/b/c.md')
    if (found === undefined) throw new Error('not there')
    expect(await disk.remove(found, { path: 'a/b/c.md', by: undefined })).toEqual({ type: 'removed' })
    expect(fs.readdirSync(root)).toEqual([])
    const [item] = await trash.list()
    expect(item).toMatchObject({ path: 'a/b/c.md', bytes: 4 })
    expect(Buffer.from((await trash.read(item?.item ?? '')).bytes).toString()).toBe('one\n')
  })
  test('is refused when it changed', async () => {
    put('a.md', 'one\n')
    const found = await disk.look('a.md')
    put('a.md', 'changed\n')
    if (found === undefined) throw new Error('not there')
    expect(await disk.remove(found, { path: 'a.md', by: undefined })).toEqual({ type: 'changed' })
    expect(text('a.md')).toBe('changed\n')
  })
})

test('what a killed process left behind is cleared: the trash gets what nobody else has', async () => {
  put('.sealmesh-a.new', 'half')
  put('a.md', 'one\n')
  fs.mkdirSync(join(root, 'sub'))
  put('sub/b-1.old.md', 'two\n')
  const open = fs.openSync(join(root, 'sub/b-1.old.md'), 'a')
  await replace('a.md', 'one, newer\n', await disk.look('a.md'))
  await replace('sub/b-1.old.md', 'two, newer\n', await disk.look('sub/b-1.old.md'))
  fs.writeSync(open, 'late\n')
  fs.closeSync(open)
  put('.sealmesh-b-1-1-c.md.gone', 'three\n')
  expect(fs.readdirSync(root)).toHaveLength(5)
  await disk.clearLeftovers(skipNothing)
  expect(fs.readdirSync(root, { recursive: true, encoding: 'utf8' }).toSorted()).toEqual([
    'a.md',
    'sub',
    'sub/b-1.old.md',
  ])
  expect((await trash.list()).map(({ path, bytes: size }) => `${path} ${size}`).sort()).toEqual([
    'c.md 6',
    'sub/b-1.old.md 9',
  ])
})

test('the trash is kept for thirty days', async () => {
  await trash.keep(bytes('one'), { path: 'a.md', by: undefined })
  nowMs += 29 * 24 * 60 * 60_000
  await trash.keep(bytes('two'), { path: 'b.md', by: undefined })
  await trash.clear()
  expect((await trash.list()).map(({ path }) => path)).toEqual(['b.md', 'a.md'])
  nowMs += 2 * 24 * 60 * 60_000
  await trash.clear()
  expect((await trash.list()).map(({ path }) => path)).toEqual(['b.md'])
})
