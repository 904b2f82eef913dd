import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { AgentId } from '@sealmesh/protocol/ids'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DIARY_CONTENT_BYTES_MAX, DIARY_TAGS_MAX, Diary } from './diary.ts'

const claude = '11'.repeat(32) as AgentId
const codex = '12'.repeat(32) as AgentId
let directory: string
let diary: Diary

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealmesh-diary-'))
  diary = await Diary.open(directory, () => 1_700_000_000_000)
})

afterEach(async () => {
  await diary.close()
  await rm(directory, { recursive: true })
})

test('an entry is there after a restart, content and all', async () => {
  await diary.put(claude, 'monday', 'Slept badly. ☂', ['mood'])
  await diary.close()
  diary = await Diary.open(directory, () => 0)
  expect(await diary.get(claude, 'monday')).toEqual({
    id: 'monday',
    atMs: 1_700_000_000_000,
    characters: 14,
    tags: ['mood'],
    content: 'Slept badly. ☂',
  })
})

test('what writing and listing give holds id, time, length and tags, and nothing of the content', async () => {
  const metadata = await diary.put(claude, 'monday', 'planted-secret', ['mood'])
  expect(metadata).toEqual({ id: 'monday', atMs: 1_700_000_000_000, characters: 14, tags: ['mood'] })
  expect(JSON.stringify([metadata, await diary.list(claude)])).not.toContain('planted')
})

test('a list holds the entries of one agent, and a deleted entry is gone', async () => {
  await diary.put(claude, 'monday', 'a', [])
  await diary.put(claude, 'tuesday', 'b', [])
  await diary.put(codex, 'monday', 'c', [])
  await diary.delete(claude, 'monday')
  expect((await diary.list(claude)).map((entry) => entry.id)).toEqual(['tuesday'])
  expect(await diary.get(claude, 'monday')).toBe(undefined)
  expect((await diary.get(codex, 'monday'))?.content).toBe('c')
})

test('what is too large or has no UTF-8 form is refused with a code', async () => {
  const refused = (id: string, content: string, tags: string[]) => diary.put(claude, id, content, tags)
  await expect(refused('a', 'x'.repeat(DIARY_CONTENT_BYTES_MAX + 1), [])).rejects.toMatchObject({
    code: 'VALUE_TOO_LARGE',
  })
  await expect(refused('a', '\ud800', [])).rejects.toMatchObject({ code: 'VALUE_INVALID' })
  await expect(refused('a', 'x', ['\udfff'])).rejects.toMatchObject({ code: 'VALUE_INVALID' })
  await expect(refused('a', 'x', Array(DIARY_TAGS_MAX + 1).fill('t'))).rejects.toMatchObject({ code: 'VALUE_INVALID' })
  await expect(refused('a\nb', 'x', [])).rejects.toMatchObject({ code: 'UMR_INVALID' })
  expect(await diary.list(claude)).toEqual([])
})

test('no path leads from what talks to other machines to diary content', async () => {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const outward = new Set(['uplink', 'sync', 'bundle', 'pairing', 'documents', 'store', 'membership'])
  const offenders: string[] = []
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = relative(root, join(entry.parentPath, entry.name))
    if (!entry.isFile() || !outward.has(path.split('/')[0] ?? '')) continue
    if (/from '[^']*diary\/diary/.test(await readFile(join(root, path), 'utf8'))) offenders.push(path)
  }
  expect(offenders).toEqual([])
})
