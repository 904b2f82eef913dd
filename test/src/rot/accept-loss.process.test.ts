import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { Level } from 'level'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { afterPrefix, dotOfKey, TABLES, tablePrefix } from '@sealmesh/node/store/keys'
import { NodeProcess } from '../processes/node.ts'
import { BIN, runProgram } from '../processes/program.ts'

let home: string
let node: NodeProcess

beforeEach(async () => {
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-accept-'))
  node = await NodeProcess.start({ home, name: 'home', relay: 'none' })
})
afterEach(async () => {
  await node.kill()
  fs.rmSync(home, { recursive: true })
})

async function sealmesh(...args: readonly string[]) {
  const { exit, program } = await runProgram(BIN.node, [...args, '--home', home], { name: args[0] ?? '' })
  return { code: exit.code, text: program.describe() }
}

async function get(umr: string): Promise<unknown> {
  const door = await node.door()
  try {
    const { item } = await door.call('get', { umr })
    return item?.type === 'register' ? JSON.parse(item.value) : item
  } catch (error) {
    return (error as { code?: string }).code
  } finally {
    await door.close()
  }
}

test('what nobody has is named with its next step, given up by a command, and the rest is served from then on', async () => {
  const door = await node.door()
  for (let i = 0; i < 6; i++)
    await door.call('set', { umr: `home.procedural.habit-${i % 4}`, value: JSON.stringify(`${i}`) })
  await door.close()
  await node.stop()
  const raw = new Level<Uint8Array, Uint8Array>(path.join(home, 'db'), { keyEncoding: 'view', valueEncoding: 'view' })
  const prefix = tablePrefix(TABLES.block)
  for (const key of await raw.keys({ gte: prefix, lt: afterPrefix(prefix) }).all())
    if (dotOfKey(key).sequence === 3) await raw.del(key)
  await raw.close()
  node = await NodeProcess.start({ home, name: 'home' })
  expect(await get('home.procedural.habit-0')).toBe('STORE_DAMAGED')

  expect(await warnings()).toMatchObject([
    { code: 'STORE_DAMAGED', message: expect.stringContaining('sealmesh scrub') },
  ])
  const scrubbed = await sealmesh('scrub', '--wait', '0')
  expect(scrubbed.code, scrubbed.text).toBe(10)
  expect(scrubbed.text).toContain('home.procedural')
  expect(scrubbed.text).toContain('--accept-loss')

  const misnamed = await sealmesh('scrub', '--accept-loss', 'procedural')
  expect(misnamed.text).toContain('USAGE')
  const accepted = await sealmesh('scrub', '--accept-loss', 'home.procedural')
  expect(accepted.code, accepted.text).toBe(0)
  expect(accepted.text).toContain('1 blocks were given up')
  const after = async () => Promise.all([0, 1, 2, 3].map((i) => get(`home.procedural.habit-${i}`)))
  // The third write was the only one of habit-2.
  expect(await after()).toEqual(['4', '5', null, '3'])
  expect((await sealmesh('scrub', '--accept-loss', 'home.procedural')).text).toContain('ITEM_NOT_FOUND')

  await node.stop()
  node = await NodeProcess.start({ home, name: 'home' })
  expect(await after()).toEqual(['4', '5', null, '3'])
  expect((await sealmesh('scrub')).code).toBe(0)
  expect(await warnings()).toEqual([])
})

/** Other than of the recovery kit, which is nobody's business here. */
const warnings = async () => (await node.status()).warnings.filter(({ code }) => code !== 'KIT_MISSING')
