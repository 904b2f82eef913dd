import { describe, expect, test } from 'vitest'
import { until } from '../processes/wait.ts'
import { agentsNode } from './agents-node.ts'

describe('memory references', () => {
  test('an agent reads and writes its own layers, under any name that they have', async () => {
    const node = await agentsNode(['alice'])
    const alice = await node.attach('alice')
    await alice.write('alice.semantic.deploy.day', '"Tuesday"')
    expect(await alice.read('alice.semantic.deploy.day')).toBe('"Tuesday"')
    await node.owner('text.put', { umr: 'alice.semantic.notes', text: 'Ein Café am Hafen' })
    expect(await alice.read('alice.semantic.notes')).toBe('Ein Café am Hafen')
    expect(await alice.list('alice.sem')).toEqual(['alice.semantic.deploy.day', 'alice.semantic.notes'])
    await alice.remove('alice.semantic.deploy.day')
    expect(await alice.read('alice.semantic.deploy.day')).toBeUndefined()
    for (const umr of ['alice.semantic', 'alice..x', '.a.b'])
      await expect(alice.read(umr.padEnd(5, ' '))).rejects.toMatchObject({ code: 'UMR_INVALID' })
    await expect(alice.write('alice.semantic.x', '{')).rejects.toMatchObject({ code: 'VALUE_INVALID' })
  })

  test('what is not granted by name is not there, and cannot be told from what does not exist', async () => {
    const node = await agentsNode(['alice', 'bob'])
    const [alice, bob] = [await node.attach('alice'), await node.attach('bob')]
    const events: string[] = []
    await bob.watchMemory('', ({ umr }) => void events.push(umr))
    for (const layer of ['semantic', 'episodic', 'shared', 'diary'])
      await alice.write(`alice.${layer}.secret`, '"rosebud"')
    await node.share('alice', 'shared', 'bob')
    await node.share('alice', 'episodic', 'standby')
    await node.share('alice', 'diary', 'bob')
    const failureOf = (umr: string) =>
      bob.write(umr, '1').then(
        () => undefined,
        (error: unknown) => ({ ...(error as object), message: String(error) }),
      )
    for (const umr of [
      'alice.semantic.secret',
      'alice.episodic.secret',
      'alice.diary.secret',
      'nobody.semantic.secret',
    ]) {
      expect(await bob.read(umr), umr).toBeUndefined()
      expect(await failureOf(umr)).toEqual(await failureOf('nobody.semantic.x'))
    }
    expect(await bob.read('alice.shared.secret')).toBe('"rosebud"')
    expect(await failureOf('alice.shared.secret')).toMatchObject({ code: 'NOT_A_WRITER' })
    expect(await bob.list('')).toEqual(['alice.shared.secret'])
    expect((await bob.search({ words: 'rosebud' })).map(({ umr }) => umr)).toEqual(['alice.shared.secret'])
    expect(events).toEqual([])
    await node.share('alice', 'shared', 'bob:write')
    await bob.write('alice.shared.answer', '"yes"')
    await alice.write('alice.semantic.more', '1')
    await alice.write('alice.shared.more', '1')
    await until('the last is told', () => events.includes('alice.shared.more'))
    expect(events).toEqual(['alice.shared.answer', 'alice.shared.more'])
    await node.share('alice', 'shared', 'none')
    expect(await bob.read('alice.shared.secret')).toBeUndefined()
    expect(await alice.read('alice.diary.secret')).toBe('rosebud')
  })

  test('a watch hears of a change once, whatever other watches there are, and under every name that a layer has', async () => {
    const node = await agentsNode(['alice'])
    const alice = await node.attach('alice')
    const heard: string[] = []
    for (const prefix of ['alice.', 'alice.semantic.', 'alice.atl.', 'alice.episodic.'])
      await alice.watchMemory(prefix, ({ umr }) => void heard.push(`${prefix} ${umr}`))
    await alice.write('alice.atl.day', '"Tuesday"')
    await alice.write('alice.semantic.last', '1')
    await until('the last is told', () => heard.filter((each) => each.endsWith('last')).length >= 3)
    expect(heard.filter((each) => each.endsWith('day')).toSorted()).toEqual([
      'alice. alice.semantic.day',
      'alice.atl. alice.semantic.day',
      'alice.semantic. alice.semantic.day',
    ])
  })

  test('search finds items that hold all words, whatever their case and accents, the most fitting first', async () => {
    const node = await agentsNode(['alice'])
    const alice = await node.attach('alice')
    const items = {
      'alice.semantic.one': 'The café by the harbour opens at nine.',
      'alice.semantic.two': 'CAFÉ café Cafe: the best coffee',
      'alice.semantic.three': `harbour master ${'and many other words '.repeat(50)} cafe`,
      'alice.episodic.four': '港の近くの喫茶店',
      'alice.semantic.decaf': 'decafeinated',
    }
    for (const [umr, value] of Object.entries(items)) await alice.write(umr, JSON.stringify(value))
    const found = async (words: string, prefix = '') =>
      (await alice.search({ words, prefix })).map(({ umr }) => umr.split('.')[2])
    expect(await found('cafe')).toEqual(['two', 'one', 'three'])
    expect(await found('CAFÉ harbour')).toEqual(['one', 'three'])
    expect(await found('harb caf')).toEqual(['one', 'three'])
    expect(await found('喫茶')).toEqual(['four'])
    expect(await found('cafe', 'alice.episodic')).toEqual([])
    expect(await found('cafe tea')).toEqual([])
    expect(await found('...')).toEqual([])
    expect(await found('decaf')).toEqual(['decaf'])
  })

  test('one agent cannot have all searches: others find their place', async () => {
    const node = await agentsNode(['alice', 'bob'])
    const [alice, bob] = [await node.attach('alice'), await node.attach('bob')]
    for (let at = 0; at < 4; at++) await alice.write(`alice.semantic.${at}`, JSON.stringify('word '.repeat(20_000)))
    await bob.write('bob.semantic.one', '"word"')
    const many = Promise.allSettled(Array.from({ length: 6 }, () => alice.search({ words: 'word' })))
    expect(await bob.search({ words: 'word' })).toHaveLength(1)
    const results = await many
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(2)
    for (const result of results)
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'CORE_BUSY' })
  })
})
