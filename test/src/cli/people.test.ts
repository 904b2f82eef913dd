import { Failure } from '@sealmesh/protocol/errors'
import type { Handlers } from '@sealmesh/node/ipc/door'
import type { MethodResult, Status } from '@sealmesh/protocol/ipc/methods'
import { describe, expect, test } from 'vitest'
import { nodeWithCli } from './run-verb.ts'

type Pairing = MethodResult<'pair.start'>
const WORDS = ['acid', 'bulb', 'cage', 'dawn']
const CODE = '482119-able-zoo'
const LINK = 'sealmesh:pair#planted'

/** A pairing whose other machine comes at the second look. */
function pairing(ends: Partial<Pairing> = { state: 'done' }) {
  const calls: string[] = []
  const waiting: Pairing = {
    state: 'waiting',
    link: LINK,
    code: null,
    expiresAt: new Date(Date.now() + 600_000).toISOString(),
    joinerName: null,
    words: [],
    error: null,
  }
  const joined: Pairing = { ...waiting, state: 'confirm', joinerName: 'office', words: WORDS }
  let view = waiting
  let looksLeft: number | undefined
  const handlers: Partial<Handlers> = {
    'pair.start': ({ autoConfirm, code }) => {
      calls.push(`start ${autoConfirm}`)
      return { ...waiting, code: code ? CODE : null }
    },
    'pair.status': () => {
      // After a yes the last message is still under way for a while.
      if (looksLeft !== undefined && looksLeft-- === 0) view = { ...joined, ...ends }
      if (view.state === 'waiting') view = ends.state === 'expired' ? { ...waiting, ...ends } : joined
      return view
    },
    'pair.confirm': ({ words }) => {
      calls.push(`confirm ${words.join(' ')}`)
      looksLeft = 2
      return view
    },
    'pair.cancel': () => {
      calls.push('cancel')
      return { ...waiting, state: 'none' }
    },
  }
  return { handlers, calls }
}

describe('pair', () => {
  test('the link is alone on stdout, the words are shown, and a yes confirms them', async () => {
    const { handlers, calls } = pairing()
    const { cli } = await nodeWithCli(handlers)
    const { exit, out, err } = await cli(['pair'], { types: 'y' })
    expect([exit, out]).toEqual([0, `${LINK}\n`])
    expect(err).toContain(WORDS.join(' '))
    expect(err).toContain('office has joined')
    expect(calls).toEqual(['start false', `confirm ${WORDS.join(' ')}`])
  })
  test('on a terminal the link is a picture as well, and in a pipe it is not', async () => {
    const { cli } = await nodeWithCli(pairing().handlers)
    const picture = /(?:[█▀▄ ]{25,}\n){12,}/
    expect((await cli(['pair'], { types: 'y' })).err).toMatch(picture)
    expect((await cli(['pair', '--no-qr'], { types: 'y' })).err).not.toMatch(picture)
    expect((await cli(['pair', '--yes'])).err).not.toMatch(picture)
  })
  test('--code shows a code in place of the link, and takes two people', async () => {
    const { cli } = await nodeWithCli(pairing().handlers)
    const { exit, out, err } = await cli(['pair', '--code'], { types: 'y' })
    expect([exit, out]).toEqual([0, `${CODE}\n`])
    expect(err).not.toContain(LINK)
    for (const options of [{ words: ['pair', '--code', '--yes'], types: 'y' }, { words: ['pair', '--code'] }])
      expect(await cli(options.words, 'types' in options ? { types: options.types } : {})).toMatchObject({
        exit: 2,
        out: '',
        err: expect.stringContaining('next: sealmesh pair --yes'),
      })
  })
  test.each(['n', '', 'maybe'])('%j is no yes: the link is taken back', async (types) => {
    const { handlers, calls } = pairing()
    const { cli } = await nodeWithCli(handlers)
    expect(await cli(['pair'], { types, env: { NO_COLOR: '1' } })).toMatchObject({
      exit: 4,
      err: expect.stringContaining('error PAIRING_WORDS_DIFFER: '),
    })
    expect(calls).toEqual(['start false', 'cancel'])
  })
  test('without a terminal it refuses before there is a link, and says how to go on', async () => {
    const { handlers, calls } = pairing()
    const { cli } = await nodeWithCli(handlers)
    expect(await cli(['pair'])).toMatchObject({
      exit: 2,
      out: '',
      err: expect.stringContaining('next: sealmesh pair --yes'),
    })
    expect(calls).toEqual([])
  })
  test('--yes --json is for scripts: one line for each thing that happens', async () => {
    const { handlers, calls } = pairing()
    const { cli } = await nodeWithCli(handlers)
    const { exit, out, err } = await cli(['pair', '--yes', '--json'])
    expect([exit, err]).toEqual([0, ''])
    expect(
      out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { event: 'link', link: LINK, expiresAt: expect.any(String) },
      { event: 'confirm', joinerName: 'office', words: WORDS },
      { event: 'done', joinerName: 'office' },
    ])
    expect(calls[0]).toBe('start true')
  })
  test.each([
    [{ state: 'expired' as const }, 3, 'PAIRING_TIMEOUT'],
    [{ state: 'failed' as const, error: { code: 'LINK_USED', message: 'It was used.' } }, 4, 'LINK_USED'],
    [{ state: 'failed' as const, error: { code: 'OF_A_LATER_VERSION', message: 'Hm.' } }, 4, 'PAIRING_REFUSED'],
  ])('an end that is not well has its code: %j', async (ends, exit, code) => {
    const { cli } = await nodeWithCli(pairing(ends).handlers)
    expect(await cli(['pair', '--yes'])).toMatchObject({ exit, err: expect.stringContaining(`error ${code}: `) })
  })
  test('Ctrl-C takes the link back', async () => {
    const { handlers, calls } = pairing()
    const { cli } = await nodeWithCli({
      ...handlers,
      'pair.status': () => ({
        ...(handlers['pair.start']?.({ autoConfirm: false, code: false }, {} as never) as Pairing),
      }),
    })
    const stop = new AbortController()
    const outcome = await cli(['pair', '--yes'], {
      signal: stop.signal,
      onOutput: (out) => void (out !== '' && stop.abort()),
    })
    expect(outcome.exit).toBe(130)
    await expect.poll(() => calls).toContain('cancel')
  })
})

const preview: MethodResult<'takeover.preview'> = {
  agent: 'claude',
  holder: 'home',
  holderLastHeardAt: null,
  term: 1,
  nextTerm: 2,
  basis: [{ layer: 'session', blocks: 3, registers: 2, texts: 1 }],
  known: ['what is known'],
  mayBeLost: ['what may be lost'],
  cannotBeKnown: ['what cannot be known'],
}

describe('takeover and revoke ask', () => {
  const world = async ({ holdsHere = false } = {}) => {
    const calls: string[] = []
    const { cli } = await nodeWithCli({
      'takeover.preview': ({ agent }) => {
        if (agent !== 'claude') throw new Failure('AGENT_UNKNOWN', 'There is no such agent.')
        return preview
      },
      takeover: ({ agent, reason }) => {
        calls.push(`takeover ${agent} ${reason}`)
        return { agent, term: 2, holder: 'office', record: 'ab' }
      },
      status: () => ({ ...STATUS, agents: STATUS.agents.map((agent) => ({ ...agent, holdsHere })) }),
      'device.revoke': ({ node }) => {
        calls.push(`revoke ${node}`)
        return { node, record: 'ab', relayTold: true }
      },
    })
    return { cli, calls }
  }

  test('a takeover shows what is known, lost and unknown before it asks', async () => {
    const { cli, calls } = await world()
    const { exit, out, err } = await cli(['takeover', 'claude', '--reason', 'stolen'], { types: 'yes' })
    expect([exit, out]).toEqual([0, 'claude is held by office, term 2\n'])
    for (const words of [...preview.known, ...preview.mayBeLost, ...preview.cannotBeKnown])
      expect(err.indexOf(words)).toBeLessThan(err.indexOf('[y/N]'))
    expect(calls).toEqual(['takeover claude stolen'])
  })
  test('an agent that is here already is not taken over again', async () => {
    const { cli, calls } = await world({ holdsHere: true })
    for (const more of [[], ['--yes']])
      expect(await cli(['takeover', 'claude', ...more])).toEqual({
        exit: 0,
        out: 'this node holds claude already, term 1: nothing to take over\n',
        err: '',
      })
    expect(calls).toEqual([])
  })
  test('for a script the preview is in the result, and a slip in the name is told before a missing --yes', async () => {
    const { cli } = await world()
    expect(JSON.parse((await cli(['takeover', 'claude', '--yes', '--json'])).out)).toMatchObject({ term: 2, preview })
    expect(await cli(['takeover', 'cluade'])).toMatchObject({
      exit: 5,
      err: expect.stringContaining('AGENT_UNKNOWN'),
    })
  })
  test('a no changes nothing', async () => {
    const { cli, calls } = await world()
    expect(await cli(['takeover', 'claude'], { types: 'n' })).toMatchObject({
      exit: 0,
      out: '',
      err: expect.stringContaining('nothing was changed'),
    })
    expect(await cli(['device', 'revoke', 'home'], { types: 'n' })).toMatchObject({ exit: 0, out: '' })
    expect(calls).toEqual([])
  })
  test('without a terminal both want --yes, and with it ask nobody', async () => {
    const { cli, calls } = await world()
    expect(await cli(['takeover', 'claude'])).toMatchObject({
      exit: 2,
      err: expect.stringContaining('sealmesh takeover claude --yes'),
    })
    expect(await cli(['device', 'revoke', 'home'])).toMatchObject({
      exit: 2,
      err: expect.stringContaining('sealmesh device revoke home --yes'),
    })
    expect(calls).toEqual([])
    await cli(['takeover', 'claude', '--yes'])
    await cli(['device', 'revoke', 'home', '--yes'])
    expect(calls).toEqual(['takeover claude ', 'revoke home'])
  })
  test('a node that is not there cannot be removed by a slip', async () => {
    const { cli, calls } = await world()
    for (const person of [{ types: 'y' }, {}])
      expect(await cli(['device', 'revoke', 'hmoe'], person)).toMatchObject({
        exit: 5,
        err: expect.stringContaining('NODE_UNKNOWN'),
      })
    expect(calls).toEqual([])
  })
})

const STATUS: Status = {
  findings: [],
  drills: [],
  direct: { listening: null, lan: 'off', links: [], peers: [] },
  snapshots: { vaultAt: null, fileAt: null, failed: null },
  version: '0.1.0',
  home: '/h',
  pid: 1,
  startedAt: new Date().toISOString(),
  node: { id: `node_${'ab'.repeat(32)}`, name: 'office', incarnation: 'cd' },
  mesh: { id: `mesh_${'ab'.repeat(32)}`, name: 'ours', nodes: 2, records: 9 },
  relays: [
    {
      relay: 'relay_ab',
      address: 'wss://relay.example#relay=ab',
      state: 'waiting',
      reason: 'RELAY_UNREACHABLE',
      nextTryAt: null,
      since: null,
      tls: 'authorities',
      proxy: null,
      unanswered: 0,
    },
  ],
  peers: [
    {
      node: 'node_cd',
      name: 'home',
      state: 'unreachable',
      toSend: 12,
      toReceive: null,
      lastHeardAt: null,
      documentsBehind: 1,
      oldestUnsentAt: '2026-11-20T12:00:00.000Z',
      lagSeconds: 90,
      refused: null,
    },
  ],
  agents: [
    {
      agent: 'agent_ab',
      name: 'claude',
      hosts: ['home', 'office'],
      holder: 'home',
      term: 1,
      holdsHere: false,
      durability: {
        policy: 'available',
        syncSet: ['home'],
        left: [{ node: 'office', at: '2026-11-20T12:00:00.000Z' }],
        level: 'local',
        copies: 1,
        means: 'on this disk alone',
      },
      layers: [
        {
          layer: 'semantic',
          registers: 120,
          texts: 3,
          conflicts: 1,
          late: 0,
          merged: 2,
          held: 0,
          setAside: 0,
          blocks: 40,
          damaged: false,
        },
      ],
    },
  ],
  summary: 'cut off',
  warnings: [{ code: 'DISK_FULL', message: 'The disk is full.' }],
  editing: [],
}

describe('status', () => {
  test('says of each thing that is not well why, and what to do', async () => {
    const { cli } = await nodeWithCli({ status: () => STATUS })
    const { exit, out, err } = await cli(['status'])
    expect([exit, err]).toEqual([0, ''])
    expect(out).toContain('state   cut off: no relay answers')
    expect(out).toContain('waiting (RELAY_UNREACHABLE)\n        next: check the address')
    expect(out).toMatch(/home +unreachable +12 +1 min +\? +never/)
    expect(out).toMatch(/claude +home +1 +semantic +120 +3 +1 +0 +0/)
    expect(out).toContain('warning DISK_FULL: The disk is full.\n  next: free some space')
    expect(out).not.toContain('\u001b')
  })
  test('has colours on a terminal, unless NO_COLOR says not', async () => {
    const { cli } = await nodeWithCli({ status: () => STATUS })
    expect((await cli(['status'], { stdoutIsTerminal: true })).out).toContain('\u001b[31mcut off')
    expect((await cli(['status'], { stdoutIsTerminal: true, env: { NO_COLOR: '1' } })).out).not.toContain('\u001b')
    expect((await cli(['status'], { env: { FORCE_COLOR: '1' } })).out).toContain('\u001b[31mcut off')
  })
  test('--json is what the node said, whole', async () => {
    const { cli } = await nodeWithCli({ status: () => STATUS })
    expect(JSON.parse((await cli(['status', '--json'])).out)).toEqual(STATUS)
  })
})

describe('agents, conflicts and late', () => {
  const origin = (write: string, nodeName: string) => ({
    write,
    node: 'ab',
    nodeName,
    writer: 'claude',
    at: '2026-11-20T12:00:00.000Z',
    wallMs: 0,
  })
  const siblings = [
    { value: '"Tuesday"', origin: origin(`aaaa${'0'.repeat(60)}`, 'home'), also: [], winner: true },
    { value: null, origin: origin(`aabb${'0'.repeat(60)}`, 'office'), also: [], winner: false },
  ]
  const seen = siblings.map((each) => each.origin.write)
  const settled = (umr: string) => ({
    umr,
    write: 'cd',
    at: 'now',
    replaced: siblings.map((each) => ({ value: each.value, origin: each.origin })),
    left: 0,
  })
  const block = `cafe${'0'.repeat(60)}`
  const world = async ({ leftOut = [] }: { leftOut?: string[] } = {}) => {
    const calls: unknown[] = []
    const record = (call: unknown): void => void calls.push(call)
    const { cli } = await nodeWithCli({
      'agents.add': (params) => (
        record(params), { agent: 'agent_ab', name: params.name, hosts: ['home', ...params.standby] }
      ),
      'conflicts.ls': () => ({
        conflicts: [{ umr: 'claude.semantic.day', siblings: 5, values: siblings, more: 3, seen }],
        truncated: false,
      }),
      'conflicts.show': ({ umr }) => ({ umr, conflict: true, siblings, more: 0, seen }),
      'conflicts.keep': (params) => (record(params), settled(params.umr)),
      'conflicts.merge': (params) => (record(params), settled(params.umr)),
      'late.ls': () => ({
        aside: [
          {
            agent: 'claude',
            layer: 'session',
            reason: 'LATE',
            block,
            nodeName: 'home',
            at: '2026-11-20T12:00:00.000Z',
            term: 1,
            writes: [{ umr: 'claude.session.x', type: 'set', value: '"y"' }],
          },
          ...leftOut.map((each) => ({
            agent: 'claude',
            layer: 'semantic',
            reason: 'LEFT_OUT',
            block: each,
            nodeName: 'home',
            at: '2026-11-20T12:00:00.000Z',
            term: null,
            writes: [],
          })),
        ],
      }),
      'late.merge': (params) => (record(params), { written: ['claude.session.x'] }),
      'late.drop': (params) => (record(params), { dropped: params.blocks }),
    })
    return { cli, calls }
  }

  test('standbys are named in order', async () => {
    const { cli, calls } = await world()
    expect(await cli(['agents', 'add', 'claude', '--standby', 'office', 'attic'])).toMatchObject({
      exit: 0,
      out: 'claude: on home, office, attic\n',
    })
    expect(calls).toEqual([{ name: 'claude', standby: ['office', 'attic'] }])
  })
  test('conflicts show both values with writers, machines and times, and keep takes the beginning of one', async () => {
    const { cli, calls } = await world()
    const { out, err } = await cli(['conflicts', 'show', 'claude.semantic.day'])
    expect(out).toMatch(
      /aaaa00000000 +claude +home +2026-.* shown +Tuesday\naabb00000000 +claude +office +2026-.* \(deleted\)/,
    )
    expect(err).toContain('conflicts keep claude.semantic.day WRITE --seen aaaa00000000,aabb00000000')
    const kept = await cli(['conflicts', 'keep', 'claude.semantic.day', 'AAbb'])
    expect(kept).toMatchObject({ exit: 0, err: expect.stringContaining('kept what office wrote\n') })
    expect(kept.err).toContain('replaced Tuesday by claude on home, 2026-')
    expect(calls).toEqual([{ umr: 'claude.semantic.day', write: seen[1], seen }])
  })
  test('the listing names each value with its writer, machine and time, and how many more there are', async () => {
    const { cli } = await world()
    const { out } = await cli(['conflicts', 'ls'])
    expect(out).toMatch(/claude\.semantic\.day +aaaa00000000 +claude +home +2026-.* Tuesday\n +aabb0/)
    expect(out).toContain('and 3 older ones')
  })
  test('merge keeps text as text, takes standard input, and names what it has seen', async () => {
    const { cli, calls } = await world()
    await cli(['conflicts', 'merge', 'claude.semantic.day', '42', '--seen', 'aaaa,aabb'])
    await cli(['conflicts', 'merge', 'claude.semantic.day', '-'], { input: 'Tuesday, at noon\n' })
    await cli(['conflicts', 'merge', 'claude.semantic.day', '[1]', '--raw-json', '--seen', 'aabb'])
    expect(calls).toEqual([
      { umr: 'claude.semantic.day', value: '"42"', seen },
      { umr: 'claude.semantic.day', value: '"Tuesday, at noon"', seen },
      { umr: 'claude.semantic.day', value: '[1]', seen: [seen[1]] },
    ])
  })
  test('where the values are JSON a merge is JSON, as it was written', async () => {
    const calls: unknown[] = []
    const numbers = siblings.map((each, at) => ({ ...each, value: at === 0 ? '{"port":8080}' : '7' }))
    const { cli } = await nodeWithCli({
      'conflicts.show': ({ umr }) => ({ umr, conflict: true, siblings: numbers, more: 0, seen }),
      'conflicts.merge': (params) => (calls.push(params.value), settled(params.umr)),
    })
    await cli(['conflicts', 'merge', 'claude.semantic.port', '{"port": 12345678901234567890}'])
    expect(calls).toEqual(['{"port": 12345678901234567890}'])
    expect(await cli(['conflicts', 'merge', 'claude.semantic.port', 'eighty'])).toMatchObject({
      exit: 2,
      err: expect.stringContaining('VALUE_INVALID'),
    })
  })
  test('an empty standard input and a write that is gone change nothing', async () => {
    const { cli, calls } = await world()
    expect(await cli(['conflicts', 'merge', 'claude.semantic.day'])).toMatchObject({ exit: 2 })
    expect(await cli(['conflicts', 'merge', 'claude.semantic.day', 'x', '--seen', 'beef'])).toMatchObject({
      exit: 9,
      err: expect.stringContaining('CONFLICT_CHANGED'),
    })
    expect(calls).toEqual([])
  })
  test.each(['aa', 'ff'])('a beginning that names not exactly one value keeps nothing: %s', async (beginning) => {
    const { cli, calls } = await world()
    expect(await cli(['conflicts', 'keep', 'claude.semantic.day', beginning])).toMatchObject({
      exit: 5,
      err: expect.stringContaining('CONFLICT_NOT_FOUND'),
    })
    expect(calls).toEqual([])
  })
  test('late blocks show what they would write, and one is merged by its beginning', async () => {
    const { cli, calls } = await world()
    expect((await cli(['late', 'ls'])).out).toMatch(
      /^cafe00000000 LATE by home at .*, term 1\n {2}set {4}claude\.session\.x y\n$/,
    )
    expect(await cli(['late', 'merge', 'cafe'])).toMatchObject({ exit: 0, out: 'claude.session.x\n' })
    expect(calls).toEqual([{ block }])
    expect(await cli(['late', 'merge', 'beef'])).toMatchObject({ exit: 5 })
  })
  test('late blocks are dropped by their beginnings, or all that others have left out', async () => {
    const { cli, calls } = await world({ leftOut: ['ab', 'ac'].map((byte) => byte.repeat(32)) })
    expect(await cli(['late', 'drop', 'cafe', 'abab'])).toMatchObject({ exit: 0, out: 'cafe00000000\nabababababab\n' })
    expect(await cli(['late', 'drop', '--left-out'])).toMatchObject({ exit: 0 })
    expect(calls).toEqual([{ blocks: [block, 'ab'.repeat(32)] }, { blocks: ['ab'.repeat(32), 'ac'.repeat(32)] }])
    expect(await cli(['late', 'drop'])).toMatchObject({ exit: 2 })
    expect(await cli(['late', 'drop', 'a'])).toMatchObject({ exit: 5 })
    expect(calls).toHaveLength(2)
  })
})
