import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MARKDOWN_BYTES_MAX } from './limits.ts'
import { readMemory } from './read-memory.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), 'sealmesh-import-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function put(path: string, content: string | Uint8Array = '# Note\n- a fact\n'): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), content)
}
async function layers(): Promise<Record<string, string>> {
  const { items } = await readMemory(folder)
  return Object.fromEntries(items.filter((item) => item.type === 'text').map((item) => [item.id, item.layer]))
}
async function reasons(): Promise<Record<string, string>> {
  const { skipped } = await readMemory(folder)
  return Object.fromEntries(skipped.map(({ where, why }) => [where, why]))
}

describe('a folder of notes', () => {
  test('gives each note as a text, its front matter and each bullet as registers', async () => {
    put('MEMORY.md', '---\nname: index\n---\n# Deploys\n\n- Tuesdays only\n- Tuesdays only\n')
    const { items, skipped } = await readMemory(folder)
    expect(items).toEqual([
      {
        layer: 'semantic',
        id: 'MEMORY.md',
        type: 'text',
        text: '---\nname: index\n---\n# Deploys\n\n- Tuesdays only\n- Tuesdays only\n',
      },
      { layer: 'semantic', id: 'MEMORY.md#front-matter', type: 'register', value: { name: 'index' } },
      {
        layer: 'semantic',
        id: expect.stringMatching(/^MEMORY\.md#deploys\/[0-9a-f]{12}$/),
        type: 'register',
        value: { fact: 'Tuesdays only', headings: ['Deploys'] },
      },
    ])
    expect(skipped).toEqual([{ where: 'MEMORY.md:7', why: 'says the same as line 6', invalid: false }])
  })
  test('sorts notes into layers by name, folder and front matter', async () => {
    put('topic.md')
    put('2026-03-17.md')
    put('daily/2026-03-17-evening.md')
    put('procedures/release.md')
    put('elsewhere/steps.md', '---\nkind: how-to\n---\n- x')
    put('nested.md', '---\nmetadata:\n  type: procedure\n---\n- x')
    expect(await layers()).toEqual({
      'topic.md': 'semantic',
      '2026-03-17.md': 'episodic',
      'daily/2026-03-17-evening.md': 'episodic',
      'procedures/release.md': 'procedural',
      'elsewhere/steps.md': 'procedural',
      'nested.md': 'procedural',
    })
  })
  test('keeps a fact under its id when lines around it change', async () => {
    put('a.md', '# H\n- one\n- two  wraps\n')
    const before = (await readMemory(folder)).items.map(({ id }) => id)
    put('a.md', '# H\n\nnew prose\n\n- two\n  wraps\n- one\n- three\n')
    const after = new Set((await readMemory(folder)).items.map(({ id }) => id))
    expect(before.every((id) => after.has(id))).toBe(true)
  })
  test('reads Windows line ends and a byte order mark as if they were not there', async () => {
    put('a.md', '\ufeff---\r\nname: x\r\n---\r\n- one\r\n')
    const { items } = await readMemory(folder)
    expect(items[0]).toMatchObject({ text: '---\nname: x\n---\n- one\n' })
    expect(items).toHaveLength(3)
  })
})

describe('what an import leaves out, and says', () => {
  test('diaries and journals, wherever they are named so', async () => {
    put('diary/2026-03-17.md')
    put('Journal.md')
    put('private.md', '---\nkind: diary\n---\n- dear diary')
    put('dairy.md')
    expect(Object.keys(await layers())).toEqual(['dairy.md'])
    expect(Object.values(await reasons()).every((why) => why.startsWith('diary is private'))).toBe(true)
  })
  test('links, hidden files, other programs, settings and anything not Markdown', async () => {
    put('real.md')
    symlinkSync('real.md', join(folder, 'link.md'))
    symlinkSync('/', join(folder, 'root'))
    put('.hidden.md')
    put('.git/config')
    put('node_modules/x/readme.md')
    put('.mcp.json', '{}')
    put('settings.json', '{}')
    put('hooks/stop.md')
    put('run.sh', '#!/bin/sh')
    put('image.png', new Uint8Array([1, 2, 3]))
    put('graph.jsonl', '{}')
    expect(Object.keys(await layers())).toEqual(['real.md'])
    expect((await reasons())['link.md']).toContain('symbolic link')
    expect(Object.keys(await reasons()).toSorted()).toEqual(
      [
        '.git/',
        '.hidden.md',
        '.mcp.json',
        'graph.jsonl',
        'hooks/',
        'image.png',
        'link.md',
        'node_modules/',
        'root',
        'run.sh',
        'settings.json',
      ].toSorted(),
    )
  })
  test('notes that are executable, binary, too large or not UTF-8', async () => {
    put('runs.md', '#!/bin/sh\n')
    chmodSync(join(folder, 'runs.md'), 0o755)
    put('zeroes.md', new Uint8Array([35, 0, 10]))
    put('latin1.md', new Uint8Array([0x63, 0x61, 0x66, 0xe9]))
    put('large.md', 'x'.repeat(MARKDOWN_BYTES_MAX + 1))
    put('fits.md', 'x'.repeat(MARKDOWN_BYTES_MAX))
    expect(Object.keys(await layers())).toEqual(['fits.md'])
    const { skipped } = await readMemory(folder)
    expect(skipped.map(({ where, invalid }) => [where, invalid])).toEqual([
      ['large.md', true],
      ['latin1.md', true],
      ['runs.md', false],
      ['zeroes.md', true],
    ])
  })
  test('notes that seem to hold a secret, with the line and without the secret', async () => {
    const secret = `ghp_${'a1'.repeat(20)}`
    put('ci.md', `# CI\n\n- the token is ${secret}\n`)
    put('id_ed25519', 'key')
    const { items, skipped } = await readMemory(folder)
    expect(items).toEqual([])
    expect(skipped.map(({ where }) => where)).toEqual(['ci.md:3', 'id_ed25519'])
    expect(JSON.stringify(skipped)).not.toContain(secret)
  })
  test.skipIf(process.platform === 'win32')('a pipe in the folder does not hang it', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe.md')])
    put('a.md')
    expect(Object.keys(await layers())).toEqual(['a.md'])
    expect(await reasons()).toEqual({ 'pipe.md': 'not a file' })
    expect((await readMemory(join(folder, 'pipe.md'))).skipped).toMatchObject([{ why: 'not a file' }])
  })
  test('folders deeper than anyone keeps notes', async () => {
    put(`${'d/'.repeat(20)}deep.md`)
    put('a.md')
    expect(Object.keys(await layers())).toEqual(['a.md'])
    expect(Object.values(await reasons())).toEqual(['deeper than 16 folders'])
  })
})

describe('the path that a person names', () => {
  test('may be one note, a graph, or a link to a folder', async () => {
    put('notes/a.md')
    put('memory.json', '{"type":"entity","name":"A","entityType":"t","observations":[]}\n')
    symlinkSync('notes', join(folder, 'linked'))
    expect((await readMemory(join(folder, 'notes/a.md'))).items).toHaveLength(2)
    expect((await readMemory(join(folder, 'memory.json'))).items).toHaveLength(1)
    expect((await readMemory(join(folder, 'linked'))).items).toHaveLength(2)
  })
  test('fails with a code when it is not there or holds nothing', async () => {
    await expect(readMemory(join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    await expect(readMemory(folder)).rejects.toMatchObject({ code: 'IMPORT_NOTHING' })
  })
})
