import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import type { ItemView } from '@sealmesh/protocol/ipc/methods'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../keys/temporary-home.ts'
import { nodeWithCli } from './run-verb.ts'

const ORIGIN = {
  write: 'ab'.repeat(32),
  node: 'cd',
  nodeName: 'office',
  writer: 'claude',
  at: '2026-11-20T12:00:00.000Z',
  wallMs: 0,
}
const register = (value: string, conflicts = 0): ItemView => ({
  umr: 'claude.semantic.x',
  type: 'register',
  value,
  origin: ORIGIN,
  conflicts,
})

/** A node that keeps registers in a map. */
async function keeper() {
  const kept = new Map<string, string>()
  const world = await nodeWithCli({
    set: ({ umr, value }) => {
      kept.set(umr, value)
      return { umr, write: 'ab', at: 'now' }
    },
    get: ({ umr }) => ({ item: kept.has(umr) ? { ...register(kept.get(umr) ?? ''), umr } : null }),
    rm: ({ umr }) => ({ umr, write: 'ab', at: 'now' }),
  })
  return { ...world, kept }
}

describe('set', () => {
  test.each([
    ['text is kept as text', ['Tuesday'], '"Tuesday"'],
    ['what looks like a number is kept as text', ['42'], '"42"'],
    ['a negative number is no option', ['-5'], '"-5"'],
    ['quotes and line breaks survive', ['say "hi"\n'], '"say \\"hi\\"\\n"'],
    ['nothing is a value too', [''], '""'],
    [
      'JSON is kept as it was written',
      ['--raw-json', '{"a": [2.50, 12345678901234567890]}'],
      '{"a": [2.50, 12345678901234567890]}',
    ],
  ])('%s', async (_, words, json) => {
    const { cli, kept } = await keeper()
    expect(await cli(['set', 'claude.semantic.x', ...words])).toMatchObject({ exit: 0, out: '' })
    expect(kept.get('claude.semantic.x')).toBe(json)
  })
  test('- reads standard input, without the line break that echo adds', async () => {
    const { cli, kept } = await keeper()
    await cli(['set', 'claude.semantic.x', '-'], { input: 'two\nlines\n' })
    expect(kept.get('claude.semantic.x')).toBe('"two\\nlines"')
    await cli(['set', 'claude.semantic.x', '-', '--raw-json'], { input: '[1]\n' })
    expect(kept.get('claude.semantic.x')).toBe('[1]')
  })
  test('what is not JSON or not UTF-8 is refused before the node hears of it', async () => {
    const { cli, kept } = await keeper()
    expect(await cli(['set', 'claude.semantic.x', '{oops', '--raw-json'])).toMatchObject({
      exit: 2,
      err: expect.stringContaining('error VALUE_INVALID: '),
    })
    expect(await cli(['set', 'claude.semantic.x', '-'], { input: Uint8Array.of(0xff, 0xfe) })).toMatchObject({
      exit: 2,
    })
    expect(kept.size).toBe(0)
  })
  test('two words without quotes are an error, not half a value', async () => {
    const { cli, kept } = await keeper()
    expect(await cli(['set', 'claude.semantic.x', 'on', 'Tuesday'])).toMatchObject({
      exit: 2,
      err: expect.stringContaining('error USAGE: '),
    })
    expect(kept.size).toBe(0)
  })
  test('--json gives what the node gave, alone on one line', async () => {
    const { cli } = await keeper()
    expect(await cli(['set', 'claude.semantic.x', 'y', '--json'])).toEqual({
      exit: 0,
      out: '{"umr":"claude.semantic.x","write":"ab","at":"now"}\n',
      err: '',
    })
  })
})

describe('get', () => {
  test('prints text plain and everything else as JSON', async () => {
    const { cli, kept } = await keeper()
    kept.set('a.b.text', '"two\\nlines"').set('a.b.number', '42').set('a.b.object', '{"a":1}')
    expect((await cli(['get', 'a.b.text'])).out).toBe('two\nlines\n')
    expect((await cli(['get', 'a.b.text', '--raw-json'])).out).toBe('"two\\nlines"\n')
    expect((await cli(['get', 'a.b.number'])).out).toBe('42\n')
    expect((await cli(['get', 'a.b.object'])).out).toBe('{"a":1}\n')
  })
  test('ends with 5 when there is nothing, and says where to look', async () => {
    const { cli, home } = await keeper()
    expect(await cli(['get', 'claude.semantic.none'])).toEqual({
      exit: 5,
      out: '',
      err: `error ITEM_NOT_FOUND: There is no such item here.\n  next: sealmesh ls claude.semantic --home ${home.path}\n`,
    })
  })
  test('a failure with --json is one line of JSON on stderr', async () => {
    const { cli } = await keeper()
    const { exit, out, err } = await cli(['get', 'claude.semantic.none', '--json'])
    expect([exit, out, err.split('\n').length]).toEqual([5, '', 2])
    expect(JSON.parse(err)).toEqual({
      error: {
        code: 'ITEM_NOT_FOUND',
        message: 'There is no such item here.',
        next: expect.stringContaining('sealmesh ls'),
        retry: false,
        exit: 5,
      },
    })
  })
  test('says on stderr that there are other values', async () => {
    const { cli } = await nodeWithCli({ get: () => ({ item: register('"x"', 2) }) })
    const { out, err } = await cli(['get', 'claude.semantic.x'])
    expect(out).toBe('x\n')
    expect(err).toContain('2 more values were written at the same time: sealmesh conflicts show claude.semantic.x')
  })
  test('what another machine wrote cannot command this terminal, and a pipe gets every byte', async () => {
    const { cli } = await nodeWithCli({
      get: () => ({ item: register(JSON.stringify('a\u001b]0;title\u0007b\u009bc')) }),
    })
    expect((await cli(['get', 'claude.semantic.x'], { stdoutIsTerminal: true })).out).toBe(
      'a\\x1b]0;title\\x07b\\x9bc\n',
    )
    expect((await cli(['get', 'claude.semantic.x'])).out).toBe('a\u001b]0;title\u0007b\u009bc\n')
  })
  test("another node's diary entry is refused with its size and not its words", async () => {
    const { cli } = await nodeWithCli({
      get: ({ umr }) => ({ item: { umr, type: 'diary', content: null, at: 'now', characters: 12, tags: [] } }),
    })
    expect(await cli(['get', 'claude.diary.today'])).toMatchObject({
      exit: 4,
      out: '',
      err: expect.stringContaining('DIARY_PRIVATE'),
    })
  })
})

describe('ls and rm', () => {
  const listed = (umr: string, bytes: number) => ({
    umr,
    type: 'register' as const,
    bytes,
    at: '2026-11-20T12:00:00.000Z',
    nodeName: 'office',
    conflicts: 0,
  })

  test('the columns stand under each other, also with wide characters and hostile names', async () => {
    const { cli } = await nodeWithCli({
      ls: () => ({
        items: [listed('a.b.日本', 5), listed('a.b.long-name', 12_345), listed('a.b.x\u001b[2J\ny', 1)],
        truncated: true,
        damaged: [],
      }),
    })
    const { out, err } = await cli(['ls'])
    const lines = out.trimEnd().split('\n')
    expect(lines).toHaveLength(4)
    expect(out).not.toContain('\u001b')
    expect(lines[0]).toMatch(/^UMR +TYPE +BYTES {2}WRITTEN +BY$/)
    expect(lines[2]).toMatch(/^a\.b\.long-name +register +12345 {2}2026-11-20 \d\d:\d\d {2}office$/)
    // Two columns each for the two wide characters.
    expect((lines[1] ?? '').indexOf('register') + 2).toBe((lines[2] ?? '').indexOf('register'))
    expect(err).toContain('There are more')
  })
  test('the prefix and the limit reach the node', async () => {
    const seen: unknown[] = []
    const { cli } = await nodeWithCli({
      ls: (params) => {
        seen.push(params)
        return { items: [], truncated: false, damaged: [] }
      },
    })
    await cli(['ls', 'claude.semantic', '--limit', '7'])
    expect(seen).toEqual([{ prefix: 'claude.semantic', limit: 7 }])
    expect(await cli(['ls', '--limit', 'many'])).toMatchObject({ exit: 2 })
    expect(seen).toHaveLength(1)
  })
  test('rm says what is gone', async () => {
    const { cli } = await keeper()
    expect(await cli(['rm', 'a.b.c'])).toEqual({ exit: 0, out: '', err: 'deleted a.b.c\n' })
  })
  test.each([
    [['set', 'a', 'b'], 2, 'error UMR_INVALID: That is not a UMR'],
    [['rm', 'claude.session.x'], 4, 'next: sealmesh takeover claude --home /'],
  ])('a next step names the agent and the home: %j', async (words, exit, expected) => {
    const { cli } = await nodeWithCli({
      rm: () => {
        throw new Failure('NOT_THE_HOLDER', 'Another node holds this agent.')
      },
    })
    const outcome = await cli(words)
    expect(outcome.exit).toBe(exit)
    expect(outcome.err).toContain(expected)
  })
  test('what the node refuses is printed with its code, its words and its next step', async () => {
    const { cli, home } = await nodeWithCli({
      rm: () => {
        throw new Failure('NOT_A_WRITER', 'This node may not.\nIt has read access only.')
      },
    })
    expect(await cli(['rm', 'a.b.c'])).toEqual({
      exit: 4,
      out: '',
      err: `error NOT_A_WRITER: This node may not.\n  It has read access only.\n  next: sealmesh share ls --home ${home.path} shows who may write this layer\n`,
    })
  })
})

describe('watch', () => {
  const event = {
    umr: 'a.b.c',
    type: 'set' as const,
    value: '"x"',
    nodeName: 'office',
    at: '2026-11-20T12:00:01.500Z',
    local: false,
  }

  test('prints a line for each event until Ctrl-C, which is how it ends well', async () => {
    const { cli } = await nodeWithCli({
      watch: (_, { notify }) => {
        notify(event)
        notify({ ...event, type: 'conflict', local: true })
        return {}
      },
    })
    const stop = new AbortController()
    const outcome = await cli(['watch', 'a'], {
      signal: stop.signal,
      onOutput: (out) => void (out.split('\n').length === 3 && stop.abort()),
    })
    expect(outcome).toMatchObject({
      exit: 0,
      out: '12:00:01.500 office a.b.c x\n12:00:01.500 here a.b.c x (conflict)\n',
    })
  })
  test('with --json each event is a line, and the end of the node is a failure', async () => {
    const { cli, node } = await nodeWithCli({
      watch: (_, { notify }) => {
        notify(event)
        return {}
      },
    })
    const outcome = await cli(['watch', '--json'], { onOutput: (out) => void (out !== '' && node.door.close()) })
    expect(outcome.exit).toBe(3)
    expect(JSON.parse(outcome.out)).toEqual(event)
    expect(JSON.parse(outcome.err)).toMatchObject({ error: { code: 'NODE_NOT_RUNNING' } })
  })
})

describe('import', () => {
  async function memory() {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'MEMORY.md'), '# Notes\n\n- deploys are on Tuesday\n- staging is called green\n')
    return folder
  }
  async function importer() {
    const [registers, texts] = [new Map<string, string>(), new Map<string, string>()]
    const world = await nodeWithCli({
      'set.many': ({ writes, onlyChanged }) => {
        const changed = writes.filter(({ umr, value }) => !onlyChanged || registers.get(umr) !== value)
        for (const { umr, value } of changed) registers.set(umr, value)
        return { written: changed.length, unchanged: writes.length - changed.length }
      },
      'text.put': ({ umr, text }) => {
        const write = texts.get(umr) === text ? '' : 'ab'
        texts.set(umr, text)
        return { umr, write, at: 'now' }
      },
    })
    return { ...world, registers, texts }
  }

  test('writes what the folder holds into the named agent', async () => {
    const { cli, registers, texts } = await importer()
    const { exit, out } = await cli(['import', await memory(), '--agent', 'claude', '--json'])
    expect(exit).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      agent: 'claude',
      registers: registers.size,
      texts: texts.size,
      skipped: [],
    })
    expect(registers.size + texts.size).toBeGreaterThan(0)
    for (const umr of [...registers.keys(), ...texts.keys()]) expect(umr).toMatch(/^claude\./)
  })
  test('the same again writes nothing, and says how much was unchanged', async () => {
    const { cli, registers, texts } = await importer()
    const path = await memory()
    expect((await cli(['import', path, '--agent', 'claude'])).out).toMatch(/^wrote .*; 0 unchanged\n$/)
    const all = registers.size + texts.size
    expect((await cli(['import', path, '--agent', 'claude'])).out).toBe(
      `wrote 0 registers and 0 texts; ${all} unchanged\n`,
    )
    expect(JSON.parse((await cli(['import', path, '--agent', 'claude', '--json'])).out)).toMatchObject({
      unchanged: all,
    })
  })
  test('--dry-run counts the same and writes nothing', async () => {
    const { cli, registers, texts } = await importer()
    expect(await cli(['import', await memory(), '--agent', 'claude', '--dry-run'])).toMatchObject({
      exit: 0,
      out: expect.stringMatching(/^would write \d+ /),
    })
    expect(registers.size + texts.size).toBe(0)
  })
  test('what cannot be read stops it before the first write, unless that is to be left out', async () => {
    const folder = await temporaryFolder()
    await writeFile(
      join(folder, 'graph.jsonl'),
      '{"type":"entity","name":"ada","entityType":"person","observations":["writes code"]}\nnonsense\n',
    )
    const { cli, registers, texts } = await importer()
    const path = join(folder, 'graph.jsonl')
    expect(await cli(['import', path, '--agent', 'claude'])).toMatchObject({
      exit: 2,
      err: expect.stringContaining('error IMPORT_INVALID: '),
    })
    expect(registers.size + texts.size).toBe(0)
    expect(await cli(['import', path, '--agent', 'claude', '--skip-invalid'])).toMatchObject({ exit: 0 })
    expect(registers.size).toBeGreaterThan(0)
  })
  test('a path without memory, and none at all, are told apart', async () => {
    const { cli } = await importer()
    expect(await cli(['import', '/nowhere/at/all', '--agent', 'claude'])).toMatchObject({
      exit: 5,
      err: expect.stringContaining('FILE_NOT_FOUND'),
    })
    expect(await cli(['import', await temporaryFolder(), '--agent', 'claude'])).toMatchObject({
      exit: 5,
      err: expect.stringContaining('IMPORT_NOTHING'),
    })
  })
})
