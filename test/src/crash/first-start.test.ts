import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildShim, mustSkipPowerCuts, type NamesModel, powerDisk } from '../power-cut/power.ts'
import { NodeProcess } from '../processes/node.ts'
import { RelayProcess } from '../processes/relay.ts'

/** Keys, identity and databases are all new here, so nothing old can stand in for what was not synced. */
const MODELS: readonly NamesModel[] = ['ordered', 'directory']

describe.skipIf(mustSkipPowerCuts())('a power cut right after the first start', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-first-'))
  let library = ''
  beforeAll(() => {
    library = buildShim(directory)
  })
  afterAll(() => fs.rmSync(directory, { recursive: true, force: true }))

  const newDisk = (name: string, names: NamesModel) =>
    powerDisk(path.join(directory, name), path.join(directory, `${name}-side`), library, names)

  test.each(MODELS)('leaves a node itself and its first writes (names: %s)', async (names) => {
    const { root, environment, cut } = newDisk(`home-${names}`, names)
    const first = await NodeProcess.start({ home: root, name: 'home', relay: 'none', env: environment })
    const { node } = await first.status()
    const door = await first.door()
    await door.call('set', { umr: 'home.semantic.fact', value: '"kept"' })
    await first.kill()
    cut()
    const second = await NodeProcess.start({ home: root, name: 'home', env: environment })
    try {
      expect((await second.status()).node.id).toBe(node.id)
      const { item } = await (await second.door()).call('get', { umr: 'home.semantic.fact' })
      expect(item).toMatchObject({ value: '"kept"' })
    } finally {
      await second.kill()
    }
  })

  test.each(MODELS)('leaves a relay the same key (names: %s)', async (names) => {
    const { root, environment, cut } = newDisk(`relay-${names}`, names)
    const first = await RelayProcess.start({ data: root, env: environment })
    await first.kill()
    cut()
    const second = await RelayProcess.start({ data: root, env: environment, port: first.port })
    await second.kill()
    expect(second.address).toBe(first.address)
  })
})
