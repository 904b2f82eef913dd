import { verbs } from '@sealmesh/node/cli/verbs'
import { lockHome } from '@sealmesh/node/keys/home-lock'
import { describe, expect, test } from 'vitest'
import { temporaryHome } from '../keys/temporary-home.ts'
import { nodeWithCli, runVerb } from './run-verb.ts'

const NESTED = [
  'agents add',
  'agents ls',
  'agents show',
  'agents watch',
  'agents token',
  'agents tokens',
  'task ls',
  'task show',
  'task add',
  'task wait',
  'task reassign',
  ...['call', 'cast', 'wait', 'ls', 'show'].map((verb) => `vote ${verb}`),
  ...['call', 'bid', 'wait', 'ls', 'show'].map((verb) => `auction ${verb}`),
  'completion bash',
  'completion zsh',
  'completion fish',
  'text get',
  'text edit',
  'text who',
  'share set',
  'share ls',
  'share preview',
  'config check',
  'config show',
  'config set',
  'config unset',
  'config edit',
  'config reload',
  'config schema',
  'conflicts ls',
  'conflicts show',
  'conflicts keep',
  'late ls',
  'late merge',
  'late drop',
  'snapshot create',
  'snapshot ls',
  'snapshot verify',
  'snapshot restore',
]

describe('help', () => {
  test.each([...Object.keys(verbs), ...NESTED])('%s has help with an example to paste', async (verb) => {
    const { exit, out, err } = await runVerb([...verb.split(' '), '--help'])
    expect([exit, err]).toEqual([0, ''])
    expect(out).toContain(`Usage: sealmesh ${verb}`)
    expect(out).toContain('Example:\n  $ sealmesh ')
    expect(out).toContain('--home <dir>')
    expect(out).toContain('--json')
  })
  test('a time that is the default stands there as it can be typed: a bare number is seconds', async () => {
    for (const verb of ['request', 'vote call', 'auction call', 'wait', 'ping', 'task wait'])
      expect((await runVerb([...verb.split(' '), '--help'])).out, verb).toMatch(/\(default:\s+\d+s\)/)
  })
  test('of the program lists every verb', async () => {
    for (const words of [['--help'], ['help'], []]) {
      const { exit, out } = await runVerb(words)
      expect(exit).toBe(0)
      for (const verb of Object.keys(verbs)) expect(out).toMatch(new RegExp(`^ {2}${verb}\\b`, 'm'))
    }
  })
})

describe('wrong words', () => {
  test.each([
    [['gte', 'a.b.c'], 'Did you mean get?'],
    [['get'], "Missing required argument 'umr'"],
    [['get', '--wat', 'a.b.c'], "Unknown option '--wat'"],
    [['share', 'sett'], 'Did you mean set?'],
    [['--hoem', '/x', 'get', 'a.b.c'], '--hoem'],
    [['import', '/x'], '--agent'],
    [['conflicts'], 'Which of these?'],
  ])('%j ends with 2 and says what to do', async (argv, words) => {
    const { exit, out, err } = await runVerb(argv)
    expect([exit, out]).toEqual([2, ''])
    expect(err).toContain('error USAGE: ')
    expect(err).toContain(words)
    expect(err).toMatch(/\n {2}next: sealmesh \S+/)
  })
  test.each(['get', 'agents', 'share', 'late', 'conflicts', 'text'])(
    'with --json that is one line of JSON as well: %s',
    async (verb) => {
      const { exit, out, err } = await runVerb([verb, '--json'])
      expect([exit, out]).toEqual([2, ''])
      expect(JSON.parse(err)).toMatchObject({ error: { code: 'USAGE', exit: 2 } })
    },
  )
  test('a link that is none is refused, and nobody is said to be asked', async () => {
    const home = await temporaryHome()
    const { exit, out, err } = await runVerb(['join', 'nonsense', '--home', home.path])
    expect([exit, out]).toEqual([4, ''])
    expect(err).toMatch(/^error LINK_INVALID: /)
  })
})

describe('a home without a running node', () => {
  test('every verb that needs one says how to start it, for that home', async () => {
    const home = await temporaryHome()
    for (const words of [
      ['status'],
      ['get', 'a.b.c'],
      ['ls'],
      ['agents', 'ls'],
      ['watch'],
      ['takeover', 'claude', '--yes'],
    ]) {
      const { exit, out, err } = await runVerb([...words, '--home', home.path])
      expect([exit, out]).toEqual([3, ''])
      expect(err).toBe(
        `error NODE_NOT_RUNNING: No node runs on the home ${home.path}.\n  next: sealmesh up --home ${home.path}\n`,
      )
    }
  })
  test('down is content: it is what was asked for', async () => {
    const home = await temporaryHome()
    expect(await runVerb(['down', '--home', home.path, '--json'])).toEqual({
      exit: 0,
      out: '{"wasRunning":false}\n',
      err: '',
    })
  })
  test('SEALMESH_HOME names it too', async () => {
    const home = await temporaryHome()
    expect(await runVerb(['status'], { env: { SEALMESH_HOME: home.path } })).toMatchObject({
      exit: 3,
      err: expect.stringContaining(home.path),
    })
  })
  test('version needs no node', async () => {
    expect(JSON.parse((await runVerb(['version', '--json'])).out)).toMatchObject({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      formats: { door: 1 },
    })
  })
})

test('down returns when the home is free again, and not when the socket is gone', async () => {
  const steps: string[] = []
  const { cli, home, node } = await nodeWithCli({
    down: () => {
      setImmediate(() => void stop())
      return {}
    },
  })
  const lock = await lockHome(home)
  const stop = async (): Promise<void> => {
    await node.door.close()
    // As long as a store takes to close.
    await new Promise((resolve) => setTimeout(resolve, 100))
    steps.push('store closed')
    await lock.release()
  }
  expect(await cli(['down', '--json'])).toMatchObject({ exit: 0, out: '{"wasRunning":true}\n' })
  steps.push('down returned')
  expect(steps).toEqual(['store closed', 'down returned'])
  await (await lockHome(home)).release()
})
