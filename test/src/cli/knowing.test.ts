import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../keys/temporary-home.ts'
import { nodeWithCli } from './run-verb.ts'

const AT = '2026-11-20T12:00:00.000Z'
const origin = (write: string, nodeName: string, at = AT) => ({
  write: write.repeat(64).slice(0, 64),
  node: 'ab',
  nodeName,
  writer: 'claude',
  at,
  wallMs: 0,
})
const away = { cause: 'away', text: 'office is away', next: 'on office: sealmesh up' }
const ungranted = {
  cause: 'no-grant',
  text: 'claude.semantic is not shared with attic',
  next: 'sealmesh share set claude semantic=attic',
}

const WHY: MethodResult<'why'> = {
  target: 'claude.semantic.day',
  kind: 'item',
  layers: [
    {
      agent: 'claude',
      layer: 'semantic',
      blocks: 4,
      item: { type: 'register', value: '"Tuesday"', origin: origin('a', 'home') },
      machines: [
        {
          node: 'ab',
          name: 'home',
          here: true,
          has: 'same',
          version: origin('a', 'home'),
          lacks: 0,
          more: null,
          since: null,
          lastHeardAt: null,
          cause: 'here',
          text: 'this machine',
          next: null,
        },
        {
          node: 'cd',
          name: 'office',
          here: false,
          has: 'older',
          version: origin('b', 'home', '2026-11-19T12:00:00.000Z'),
          lacks: 2,
          more: 0,
          since: AT,
          lastHeardAt: null,
          ...away,
        },
        {
          node: 'ef',
          name: 'attic',
          here: false,
          has: 'not shared',
          version: null,
          lacks: 0,
          more: 0,
          since: null,
          lastHeardAt: null,
          ...ungranted,
        },
      ],
      notes: [{ code: 'conflict', text: '2 values were written', next: 'sealmesh conflicts show claude.semantic.day' }],
    },
  ],
}

describe('why', () => {
  test('one screen: who has which version, what is missing, the reason, and a command for this home', async () => {
    const { cli, home } = await nodeWithCli({ why: () => WHY })
    const { exit, out } = await cli(['why', 'claude.semantic.day'])
    expect(exit).toBe(0)
    expect(out).toMatch(/^claude\.semantic\.day {2}Tuesday, by claude on home, 2026-/)
    expect(out).toMatch(/home +this version +- +this machine/)
    expect(out).toMatch(/office +version of 2026-11-\S+ \S+ +2 +- +never +office is away; it waits since/)
    expect(out).toMatch(/attic +not shared +- +- +never +claude\.semantic is not shared with attic/)
    expect(out).toContain('  next: on office: sealmesh up\n')
    expect(out).toContain(`  next: sealmesh share set claude semantic=attic --home ${home.path}\n`)
    expect(out).toContain(`note: 2 values were written\n  next: sealmesh conflicts show claude.semantic.day --home`)
    expect(out.split('\n').length).toBeLessThan(25)
  })
  test('--json is what the node said, whole', async () => {
    const { cli } = await nodeWithCli({ why: () => WHY })
    expect(JSON.parse((await cli(['why', 'claude.semantic.day', '--json'])).out)).toEqual(WHY)
  })
})

describe('diff', () => {
  const found: MethodResult<'diff'> = {
    peer: 'office',
    documents: [
      {
        agent: 'claude',
        layer: 'episodic',
        shared: 'both',
        theyLack: 0,
        weLack: 0,
        keys: null,
        cause: 'in-step',
        text: 'office has the same',
        next: null,
      },
      {
        agent: 'claude',
        layer: 'semantic',
        shared: 'both',
        theyLack: 2,
        weLack: null,
        keys: { names: ['day', 'port'], textEdits: 1, truncated: false },
        ...away,
      },
      { agent: 'claude', layer: 'ontology', shared: 'no', theyLack: 0, weLack: null, keys: null, ...ungranted },
    ],
  }
  test('shows what differs, names keys, and counts what does not', async () => {
    const { cli } = await nodeWithCli({ diff: () => found })
    const { out, err } = await cli(['diff', 'office', '--keys'])
    expect(out).toMatch(/claude\.semantic +both +2 +\? +office is away/)
    expect(out).toContain('it lacks in claude.semantic:\n  day\n  port\n  1 edit of texts\n')
    expect(out).not.toContain('episodic')
    expect(err).toContain('1 document does not differ')
    expect((await cli(['diff', 'office', '--all'])).out).toContain('claude.episodic')
  })
})

describe('wait', () => {
  const outcome = (done: boolean): MethodResult<'wait'> => ({
    done,
    until: 'replicated',
    waitedMs: 30_000,
    documents: 1,
    readers: ['office'],
    behind: done ? [] : [{ agent: 'claude', layer: 'semantic', machine: 'office', lacks: 2, more: 0, ...away }],
    unshared: [],
    alone: [],
  })
  test.each([
    [['--timeout', '30'], 30_000],
    [['--timeout', '1.5'], 1_500],
    [['--timeout', '250ms'], 250],
    [['--timeout', '10m'], 600_000],
    [[], 60_000],
  ])('%j gives up in time', async (words, timeoutMs) => {
    const asked: unknown[] = []
    const { cli } = await nodeWithCli({ wait: (params) => (asked.push(params), outcome(true)) })
    expect(await cli(['wait', '--replicated', 'claude', ...words])).toMatchObject({
      exit: 0,
      err: 'replicated: 1 document, office\n',
    })
    expect(asked).toEqual([{ until: 'replicated', target: 'claude', timeoutMs }])
  })
  test('an end of the time has an exit code of its own, and says who is missing, why, and what to do', async () => {
    const { cli } = await nodeWithCli({ wait: () => outcome(false) })
    const { exit, err } = await cli(['wait', '--replicated', 'claude'])
    expect(exit).toBe(10)
    expect(err).toContain('error WAIT_TIMEOUT: After 30 s it is not replicated.\n  claude.semantic: office is away.\n')
    expect(err).toContain('next: on office: sealmesh up')
    expect(JSON.parse((await cli(['wait', '--json'])).out)).toMatchObject({ done: false })
  })
  test('nonsense is refused before anybody waits', async () => {
    const { cli } = await nodeWithCli({})
    expect(await cli(['wait', '--timeout', 'soon'])).toMatchObject({ exit: 2 })
    expect(await cli(['wait', '--synced', '--replicated'])).toMatchObject({ exit: 2 })
  })
})

describe('history and restore', () => {
  const version: MethodResult<'history'>['versions'][number] = {
    ...origin('a', 'home'),
    type: 'register',
    state: 'shown',
    value: '"Tuesday"',
    edits: 1,
    hunks: [],
  }
  const found: MethodResult<'history'> = {
    umr: 'claude.semantic.day',
    versions: [
      version,
      { ...version, ...origin('b', 'office'), state: 'replaced', value: null },
      {
        ...version,
        ...origin('c', 'office'),
        type: 'text',
        state: 'replaced',
        value: null,
        edits: 3,
        hunks: [{ line: 2, removed: ['two'], added: ['zwei\u001b[2J'] }],
      },
    ],
    earlier: 4,
    endsAt: '2026-11-13T12:00:00.000Z',
  }
  test('versions with time, writer and machine; values of registers and lines of texts; where history ends', async () => {
    const { cli } = await nodeWithCli({ history: () => found })
    const { out, err } = await cli(['history', 'claude.semantic.day'])
    expect(out).toMatch(/2026-11-20 \d\d:00:00 {2}claude on home {2}a{12} {2}Tuesday {2}\(shown\)\n/)
    expect(out).toMatch(/claude on office {2}b{12} {2}\(deleted\)\n/)
    expect(out).toMatch(/c{12} {2}3 edits\n {2}line 2\n {2}- two\n {2}\+ zwei\\x1b\[2J\n/)
    expect(err).toContain('4 older versions: --limit 24')
    expect(err).toContain('Versions that were replaced before 2026-11-13')
  })
  test('--at prints the value of that time, and restore asks for the same moment', async () => {
    const asked: string[] = []
    const { cli } = await nodeWithCli({
      'history.at': ({ umr, at }) => (asked.push(at), { umr, type: 'register', at, value: '"Monday"', origin: null }),
      restore: ({ umr, at }) => (asked.push(at), { umr, type: 'register', from: at, write: 'cd', at }),
    })
    expect((await cli(['history', 'claude.semantic.day', '--at', '2026-11-20T12:00:00Z'])).out).toBe('Monday\n')
    const restored = await cli(['restore', 'claude.semantic.day', '--at', '2026-11-20T12:00:00Z'])
    expect(restored).toMatchObject({
      exit: 0,
      err: expect.stringContaining('restored claude.semantic.day as of 2026-'),
    })
    expect(asked).toEqual([AT, AT])
  })
  test('no time, a time to come and nonsense are refused', async () => {
    const { cli } = await nodeWithCli({})
    for (const words of [[], ['--at', 'yesterday'], ['--at', '2126-01-01']])
      expect(await cli(['restore', 'claude.semantic.day', ...words])).toMatchObject({ exit: 2 })
  })
})

describe('events', () => {
  const event = {
    cursor: 'aa.1',
    at: AT,
    type: 'write',
    agent: 'claude',
    layer: 'semantic',
    umr: 'claude.semantic.day',
    nodeName: 'office',
    local: false,
    detail: { change: 'set', value: '"Tues\\u001bday"', cut: false },
  } as const
  test('each is one line, harmless on a terminal, and with --json one JSON value', async () => {
    const asked: unknown[] = []
    const { cli } = await nodeWithCli({ events: (params) => (asked.push(params), { cursor: 'aa.1', events: [event] }) })
    const words = ['events', '--no-follow', '--type', 'write,conflict', '--agent', 'claude', '--after', 'aa.0']
    const { out, err } = await cli(words)
    expect(out).toBe('12:00:00.000 write office claude.semantic.day Tues\\x1bday\n')
    expect(err).toBe('go on with: --after aa.1\n')
    expect(JSON.parse((await cli([...words, '--json'])).out)).toEqual(event)
    expect(asked[0]).toEqual({ follow: false, types: ['write', 'conflict'], agent: 'claude', after: 'aa.0' })
  })
  test('a type that there is not is refused', async () => {
    const { cli } = await nodeWithCli({})
    expect(await cli(['events', '--type', 'writes'])).toMatchObject({ exit: 2, err: expect.stringContaining('USAGE') })
  })
})

describe('conflicts merge in an editor', () => {
  const siblings = [
    { value: '"Tuesday"', origin: origin('a', 'home'), also: [], winner: true },
    { value: '"Thursday"', origin: origin('b', 'office'), also: [], winner: false },
  ]
  const seen = siblings.map((each) => each.origin.write)
  const world = async (script: string) => {
    const editor = join(await temporaryFolder(), 'editor')
    await writeFile(editor, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    const values: string[] = []
    const { cli } = await nodeWithCli({
      'conflicts.show': ({ umr }) => ({ umr, conflict: true, siblings, more: 0, seen }),
      'conflicts.merge': ({ umr, value }) => (values.push(value), { umr, write: 'cd', at: AT, replaced: [], left: 0 }),
    })
    const merge = () => cli(['conflicts', 'merge', 'claude.semantic.day'], { types: '', env: { EDITOR: editor } })
    return { values, merge }
  }
  test('it opens with all values, and what is left of them is written', async () => {
    const { values, merge } = await world('grep -q "claude on office" "$1" && sed -i "/^[<=>]/d; /Thursday/d" "$1"')
    expect(await merge()).toMatchObject({ exit: 0 })
    expect(values).toEqual(['"Tuesday"'])
  })
  test('lines of ours that are still there mean that nobody has chosen', async () => {
    const { values, merge } = await world('true')
    expect(await merge()).toMatchObject({ exit: 2, err: expect.stringContaining('nothing was changed') })
    expect(values).toEqual([])
  })
})
