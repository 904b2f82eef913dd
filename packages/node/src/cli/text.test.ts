import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { methods } from '@sealmesh/protocol/ipc/methods'
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readSyncMessage } from 'y-protocols/sync'
import * as Y from 'yjs'
import { type Handlers, serveDoor } from '../ipc/door.ts'
import { prepareHome, resolveHome } from '../keys/home.ts'
import { claimSocketPath } from '../keys/socket-path.ts'
import { runCli } from './run.ts'

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sm-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

interface RunOptions {
  readonly input?: string
  /** A person sits there. */
  readonly terminal?: boolean
  readonly env?: NodeJS.ProcessEnv
}

/** A door with a few handlers, and the command line on its home. */
async function nodeWithCli(handlers: Partial<Handlers>) {
  const home = resolveHome(join(await temporaryFolder(), 'home'), {})
  await prepareHome(home)
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const hello: Handlers['hello'] = ({ version }) => ({ version, node: 'node_fake' })
  const socketPath = await claimSocketPath(home, {})
  const door = await serveDoor({ socketPath, methods, handlers: { hello, ...handlers } as Handlers, log })
  onTestFinished(() => door.close())
  const cli = async (words: readonly string[], { input = '', terminal = false, env = {} }: RunOptions = {}) => {
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
    stdin.end(input)
    const exit = await runCli([...words, '--home', home.path], {
      terminal: {
        stdin: Object.assign(stdin, { isTTY: terminal }),
        stdout,
        stderr: Object.assign(stderr, { isTTY: terminal }),
        env: { NO_COLOR: '1', ...env },
      },
      signal: new AbortController().signal,
    })
    return { exit, out: String(stdout.read() ?? ''), err: String(stderr.read() ?? '') }
  }
  return { home, cli }
}

/** A node that merges a client's edits into one Y.Doc, as the real one does. */
async function textNode(initial: string) {
  const doc = new Y.Doc()
  const shared = doc.getText('notes')
  shared.insert(0, initial)
  const hooks: { beforeUpdate?: () => void } = {}
  const world = await nodeWithCli({
    'text.sync': ({ message }) => {
      const bytes = Buffer.from(message, 'base64')
      const isStep1 = bytes[0] === 0
      if (!isStep1) hooks.beforeUpdate?.()
      const encoder = encoding.createEncoder()
      readSyncMessage(decoding.createDecoder(bytes), encoder, doc, 'test')
      return {
        reply: isStep1 ? Buffer.from(encoding.toUint8Array(encoder)).toString('base64') : null,
        write: isStep1 ? null : 'ab',
      }
    },
    'text.editing': () => ({ others: [] }),
    get: ({ umr }) => ({ item: { umr, type: 'text', text: shared.toString() } }),
  })
  return { ...world, shared, hooks }
}

describe('text', () => {
  test('edit takes standard input, and get gives it back byte by byte', async () => {
    const { cli, shared } = await textNode('')
    const text = 'Ünïcode 🦭\n\nno newline at the end'
    expect(await cli(['text', 'edit', 'a.b.notes'], { input: text })).toMatchObject({ exit: 0, out: '' })
    expect(shared.toString()).toBe(text)
    expect((await cli(['text', 'get', 'a.b.notes'])).out).toBe(text)
  })
  test('what another machine wrote while the text was edited stays', async () => {
    const { cli, shared, hooks } = await textNode('one\ntwo\nthree\n')
    hooks.beforeUpdate = () => shared.insert(shared.toString().indexOf('three'), 'between\n')
    const file = join(await temporaryFolder(), 'notes.md')
    await writeFile(file, 'FIRST ONE\ntwo\nthree and last\n')
    expect(await cli(['text', 'edit', 'a.b.notes', '--file', file, '--json'])).toMatchObject({
      exit: 0,
      out: '{"umr":"a.b.notes","write":"ab","changed":true}\n',
    })
    expect(shared.toString()).toBe('FIRST ONE\ntwo\nbetween\nthree and last\n')
  })
  test('nothing on standard input and an empty file erase nothing, and --empty does', async () => {
    const { cli, shared } = await textNode('kept')
    const file = join(await temporaryFolder(), 'empty.md')
    await writeFile(file, '')
    for (const words of [[], ['--file', '-'], ['--file', file]])
      expect(await cli(['text', 'edit', 'a.b.notes', ...words])).toMatchObject({
        exit: 2,
        err: expect.stringMatching(/error USAGE: .*\n {2}next: .*sealmesh text edit a\.b\.notes --empty/),
      })
    expect(shared.toString()).toBe('kept')
    expect(await cli(['text', 'edit', 'a.b.notes', '--empty'])).toMatchObject({ exit: 0 })
    expect(shared.toString()).toBe('')
  })
  test('the same text again writes nothing', async () => {
    const { cli, hooks } = await textNode('same')
    let updates = 0
    hooks.beforeUpdate = () => void updates++
    expect(await cli(['text', 'edit', 'a.b.notes'], { input: 'same' })).toMatchObject({
      exit: 0,
      err: 'nothing to change\n',
    })
    expect(updates).toBe(0)
  })
  test('on a terminal $EDITOR edits it, in a private folder that is gone afterwards', async () => {
    const { cli, shared, home } = await textNode('draft\n')
    const editor = join(await temporaryFolder(), 'my editor')
    await writeFile(editor, '#!/bin/sh\nls -ld "$(dirname "$1")" >> "$0.log"; echo added >> "$1"\n')
    await chmod(editor, 0o755)
    const env = { PATH: process.env['PATH'], EDITOR: `'${editor}'` }
    expect(await cli(['text', 'edit', 'a.b.notes'], { terminal: true, env })).toMatchObject({ exit: 0 })
    expect(shared.toString()).toBe('draft\nadded\n')
    expect((await readdir(home.run)).filter((name) => name.startsWith('edit-'))).toEqual([])
  })
  test('an editor that fails changes nothing', async () => {
    const { cli, shared } = await textNode('draft\n')
    expect(
      await cli(['text', 'edit', 'a.b.notes'], { terminal: true, env: { PATH: process.env['PATH'], EDITOR: 'false' } }),
    ).toMatchObject({ exit: 2 })
    expect(shared.toString()).toBe('draft\n')
  })
  test('a missing file and a wrong name end with their codes', async () => {
    const { cli } = await textNode('')
    expect(await cli(['text', 'edit', 'a.b.notes', '--file', '/nowhere'])).toMatchObject({
      exit: 5,
      err: expect.stringContaining('FILE_NOT_FOUND'),
    })
    expect(await cli(['text', 'edit', 'notes'], { input: '' })).toMatchObject({
      exit: 2,
      err: expect.stringContaining('UMR_INVALID'),
    })
  })
})
