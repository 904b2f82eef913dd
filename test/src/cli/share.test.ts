import { Failure } from '@sealmesh/protocol/errors'
import { describe, expect, test } from 'vitest'
import { nodeWithCli } from './run-verb.ts'

describe('share', () => {
  const semantic = {
    layer: 'semantic',
    now: [{ node: 'attic', access: 'read' as const }],
    gains: (['read', 'write'] as const).map((access) => ({ node: 'office', access })),
    loses: [],
    registers: 2,
    texts: 1,
    bytes: 300,
    blocks: 9,
    revives: 0,
    umrs: ['claude.semantic.x'],
  }
  const world = async () => {
    const calls: unknown[] = []
    const { cli } = await nodeWithCli({
      'share.set': (params) => {
        calls.push(params)
        const grants = params.changes.map((change) => ({
          agent: 'claude',
          ...change,
          access: 'read' as const,
          record: 'ab',
        }))
        return { grants, changed: grants.length, layers: [semantic] }
      },
      'share.preview': () => ({ agent: 'claude', holder: 'home', heldHere: true, layers: [semantic] }),
    })
    return { cli, calls }
  }

  test('several layers are shared in one call, after a yes', async () => {
    const { cli, calls } = await world()
    const words = ['share', 'set', 'claude', 'semantic=standby', 'episodic=office:write,ada']
    const changes = [
      { layer: 'semantic', to: 'standby' },
      { layer: 'episodic', to: 'office:write' },
      { layer: 'episodic', to: 'ada' },
    ]
    const asked = await cli(words, { types: 'n' })
    expect(asked).toMatchObject({ exit: 0, out: '', err: expect.stringContaining('nothing was changed') })
    expect(asked.err).toContain(
      'holds   2 registers, 1 text, 300 bytes in 9 blocks\n  goes to attic\n  adds    office (may write)\n',
    )
    expect(calls).toEqual([])
    await cli(words, { types: 'y' })
    await cli([...words, '--yes'])
    expect(calls).toEqual(Array(2).fill({ agent: 'claude', changes, newLayer: false }))
  })
  test('without a terminal sharing wants --yes', async () => {
    const { cli, calls } = await world()
    expect(await cli(['share', 'set', 'claude', 'semantic=office'])).toMatchObject({
      exit: 2,
      err: expect.stringContaining('next: sealmesh share set claude semantic=office --yes'),
    })
    expect(calls).toEqual([])
  })
  test('ending a grant wants no yes in a script, and says what cannot be unsent', async () => {
    const calls: unknown[] = []
    const lost = {
      ...semantic,
      gains: [],
      loses: [{ node: 'third', access: 'read' as const, receipted: 7, lastHeardAt: null }],
    }
    const { cli } = await nodeWithCli({
      'share.preview': () => ({ agent: 'claude', holder: 'home', heldHere: true, layers: [lost] }),
      'share.set': (params) => (calls.push(params), { grants: [], changed: 1, layers: [lost] }),
    })
    const done = await cli(['share', 'set', 'claude', 'semantic=none'])
    expect(done.exit).toBe(0)
    expect(done.err).toContain('third is sent nothing more of claude.semantic: it has receipted 7 blocks of 9')
    expect(done.err).toContain('what was sent cannot be unsent')
    expect(calls).toHaveLength(1)
  })
  test('a grant that reaches no other machine yet says so', async () => {
    const alone = { ...semantic, now: [], gains: [] }
    const grants = [{ agent: 'claude', layer: 'semantic', to: 'standby', access: 'read' as const, record: 'ab' }]
    const { cli } = await nodeWithCli({
      'share.preview': () => ({ agent: 'claude', holder: 'home', heldHere: true, layers: [alone] }),
      'share.set': () => ({ grants, changed: 1, layers: [alone] }),
    })
    const done = await cli(['share', 'set', 'claude', 'semantic=standby'])
    expect(done.err).toContain('No other machine gets it yet: sealmesh agents add claude --standby NODE')
  })
  test('where the agent is not held nobody is asked, and the holder is named', async () => {
    const { cli } = await nodeWithCli({
      'share.preview': () => ({ agent: 'claude', holder: 'office', heldHere: false, layers: [semantic] }),
    })
    const refused = await cli(['share', 'set', 'claude', 'semantic=standby'], { types: 'y' })
    expect(refused).toMatchObject({ exit: 4, err: expect.stringContaining('claude is held by office') })
    expect(refused.err).not.toContain('[y/N]')
  })
  test('a change that is none is told how to say it', async () => {
    const { cli } = await world()
    for (const verb of ['set', 'preview'])
      for (const word of ['semantic', '=x', 'semantic='])
        expect(await cli(['share', verb, 'claude', word])).toMatchObject({
          exit: 2,
          err: expect.stringContaining('next: sealmesh share set AGENT LAYER=WHO'),
        })
  })
  test('what the node does not understand leads to the help of the verb', async () => {
    const { cli } = await nodeWithCli({
      'share.preview': () => {
        throw new Failure('USAGE', 'Say none, standby, a node or an agent.')
      },
    })
    expect((await cli(['share', 'preview', 'claude', 'semantic=bob:wri'])).err).toContain('next: sealmesh share --help')
  })
  test('a preview says to whom, how much, and that there is more', async () => {
    const { cli } = await world()
    expect((await cli(['share', 'preview', 'claude', 'semantic=office:write'])).out).toBe(
      [
        'claude.semantic',
        '  holds   2 registers, 1 text, 300 bytes in 9 blocks',
        '  goes to attic',
        '  adds    office (may write)',
        '          blocks also hold what was overwritten or deleted lately',
        '  claude.semantic.x',
        '  and 2 more',
        '',
      ].join('\n'),
    )
  })
  test('where nothing is shared a preview says so', async () => {
    const { cli } = await nodeWithCli({
      'share.preview': () => ({ agent: 'claude', holder: 'home', heldHere: true, layers: [] }),
    })
    expect(await cli(['share', 'preview', 'claude'])).toMatchObject({
      out: '',
      err: 'Nothing is shared: nothing leaves this machine.\n',
    })
  })
})
