import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import * as readline from 'node:readline'
import { fileURLToPath } from 'node:url'
import { seededDice } from '@sealmesh/protocol/test-dice'
import { Level } from 'level'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { testSeed } from '../processes/seed.ts'
import { buildShim, mustSkipPowerCuts, type NamesModel, powerDisk } from './power.ts'

const CUTS = 20
const WRITER = fileURLToPath(new URL('../../dist/power-cut/level-writer.js', import.meta.url))
const SCRIPTED = fileURLToPath(new URL('../../dist/power-cut/scripted-writer.js', import.meta.url))

describe.skipIf(mustSkipPowerCuts())('a power cut', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-power-'))
  let library = ''
  beforeAll(() => {
    library = buildShim(directory)
  })
  afterAll(() => fs.rmSync(directory, { recursive: true, force: true }))

  const newDisk = (name: string, names: NamesModel) => {
    const at = path.join(directory, name)
    fs.mkdirSync(at)
    return powerDisk(path.join(at, 'root'), path.join(at, 'side'), library, names)
  }

  /** Runs the writer until it has acknowledged `enough`, kills it, cuts the power, and counts what is gone. */
  async function cutWriter(mode: 'sync' | 'nosync', cuts: number, seed: number, names: NamesModel = 'ordered') {
    const dice = seededDice(seed)
    const disk = newDisk(`${mode}-${names}`, names)
    const acknowledged = new Set<number>()
    let cutsThatLost = 0
    for (let cut = 0; cut < cuts; cut++) {
      const enough = acknowledged.size + 50 + Math.floor(dice() * 1_500)
      const first = String((cut + 1) * 1_000_000)
      const args = [WRITER, path.join(disk.root, 'db'), mode, first, ...(names === 'directory' ? ['syncdir'] : [])]
      const child = spawn(process.execPath, args, {
        env: { ...process.env, ...disk.environment },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      for await (const line of readline.createInterface({ input: child.stdout })) {
        if (line !== 'ready') acknowledged.add(Number(line))
        if (acknowledged.size >= enough) child.kill('SIGKILL')
      }
      await ended(child)
      expect(disk.watched()).toBe(1)
      disk.cut(dice)
      const held = new Set<number>()
      const db = new Level<string, string>(path.join(disk.root, 'db'))
      await db.open()
      for await (const [key, value] of db.iterator({ lt: 'v' })) {
        expect(value).toBe(`${Number(key)}:${'v'.repeat(100)}`)
        held.add(Number(key))
      }
      await db.close()
      // What the parent has just opened and closed was written to the real disk: it is durable now.
      fs.rmSync(path.join(path.dirname(disk.root), 'side'), { recursive: true })
      powerDisk(disk.root, path.join(path.dirname(disk.root), 'side'), library, names)
      const lost = [...acknowledged].filter((number) => !held.has(number))
      if (lost.length > 0) cutsThatLost++
      for (const number of lost) acknowledged.delete(number)
    }
    return cutsThatLost
  }

  test(`${CUTS} times takes acknowledged writes of LevelDB without sync`, { timeout: 120_000 }, async () => {
    expect(await cutWriter('nosync', CUTS, testSeed())).toBeGreaterThanOrEqual(CUTS - 2)
  })

  test(`${CUTS} times takes no acknowledged write of LevelDB with sync`, { timeout: 120_000 }, async () => {
    expect(await cutWriter('sync', CUTS, testSeed())).toBe(0)
  })

  test('takes none either where names are kept by directory, if that is synced once LevelDB is open', {
    timeout: 120_000,
  }, async () => {
    expect(await cutWriter('sync', CUTS / 4, testSeed(), 'directory')).toBe(0)
  })

  describe('of a program that uses files by itself', () => {
    /** Each line is a call; the process ends by itself, which leaves the page cache as a kill would. */
    async function afterCut(
      name: string,
      script: readonly (readonly string[])[],
      before: Record<string, string> = {},
      names: NamesModel = 'ordered',
    ) {
      const at = path.join(directory, name)
      fs.mkdirSync(path.join(at, 'root'), { recursive: true })
      for (const [file, text] of Object.entries(before)) fs.writeFileSync(path.join(at, 'root', file), text)
      const disk = powerDisk(path.join(at, 'root'), path.join(at, 'side'), library, names)
      const child = spawn(process.execPath, [SCRIPTED, disk.root, JSON.stringify(script)], {
        env: { ...process.env, ...disk.environment },
        stdio: 'inherit',
      })
      expect(await ended(child)).toBe(0)
      disk.cut()
      const entries = fs
        .readdirSync(disk.root, { recursive: true, encoding: 'utf8' })
        .filter((entry) => fs.statSync(path.join(disk.root, entry)).isFile())
        .sort()
      return Object.fromEntries(entries.map((entry) => [entry, fs.readFileSync(path.join(disk.root, entry), 'utf8')]))
    }

    test('undoes an append, an overwrite and a truncation that were not synced', async () => {
      const script = [
        ['append', 'a', ' more'],
        ['overwrite', 'b', '0', 'XX'],
        ['truncate', 'c', '2'],
        ['rewrite', 'd', 'new'],
      ]
      const before = { a: 'first', b: 'first', c: 'first', d: 'first' }
      expect(await afterCut('contents', script, before)).toEqual(before)
    })

    test('leaves them when the file was synced, up to what was written before', async () => {
      const script = [
        ['append', 'a', ' more', 'sync'],
        ['append', 'a', ' and more'],
        ['overwrite', 'b', '2', 'XX', 'sync'],
        ['overwrite', 'b', '0', 'YY'],
        ['truncate', 'c', '2', 'sync'],
        ['rewrite', 'd', 'new', 'sync'],
      ]
      expect(await afterCut('synced', script, { a: 'first', b: 'first', c: 'first', d: 'first' })).toEqual({
        a: 'first more',
        b: 'fiXXt',
        c: 'fi',
        d: 'new',
      })
    })

    test('undoes a rename until its directory is synced, though the file was', async () => {
      const script = [
        ['rewrite', 'tmp', 'new', 'sync'],
        ['rename', 'tmp', 'name'],
      ]
      expect(await afterCut('renamed', script, { name: 'old' })).toEqual({ name: 'old', tmp: 'new' })
      expect(await afterCut('renamed-synced', [...script, ['syncdir']], { name: 'old' })).toEqual({ name: 'new' })
    })

    test('gives a renamed file no contents that were never synced', async () => {
      const script = [['rewrite', 'tmp', 'new'], ['rename', 'tmp', 'name'], ['syncdir']]
      expect(await afterCut('renamed-empty', script, { name: 'old' })).toEqual({ name: '' })
    })

    test('brings an unlinked file back until its directory is synced', async () => {
      expect(await afterCut('unlinked', [['unlink', 'a']], { a: 'first' })).toEqual({ a: 'first' })
      expect(await afterCut('unlinked-synced', [['unlink', 'a'], ['syncdir']], { a: 'first' })).toEqual({})
    })

    test('forgets a new file that nobody synced', async () => {
      expect(await afterCut('created', [['rewrite', 'a', 'text']])).toEqual({})
      expect(await afterCut('created-synced', [['rewrite', 'a', 'text', 'sync']])).toEqual({ a: 'text' })
    })

    test('keeps a rename when anything is synced after it, unless the file system keeps names by directory', async () => {
      const script = [
        ['rewrite', 'tmp', 'new', 'sync'],
        ['rename', 'tmp', 'name'],
        ['rewrite', 'other', 'text', 'sync'],
      ]
      const before = { name: 'old' }
      expect(await afterCut('ordered', script, before)).toEqual({ name: 'new', other: 'text' })
      expect(await afterCut('weak', script, before, 'directory')).toEqual({ name: 'old', tmp: 'new', other: 'text' })
    })

    test('keeps what is in a directory that was renamed, if the one above was synced', async () => {
      const script = [
        ['mkdir', 'new'],
        ['rewrite', 'new/key', 'secret', 'sync'],
        ['rename', 'new', 'keys'],
      ]
      const disk = async (name: string, calls: readonly (readonly string[])[], names: NamesModel) =>
        Object.keys(await afterCut(name, calls, {}, names))
      for (const names of ['ordered', 'directory'] as const) {
        expect(await disk(`moved-${names}`, script, names)).toEqual(['new/key'])
        expect(await disk(`moved-synced-${names}`, [...script, ['syncdir']], names)).toEqual(['keys/key'])
      }
    })

    test('does not confuse a new file with a removed one that had its inode', async () => {
      const script = [
        ['unlink', 'a'],
        ['rewrite', 'b', 'other'],
        ['rewrite', 'c', 'x'],
        ['append', 'b', '!', 'sync'],
      ]
      expect(await afterCut('inode', script, { a: 'first' })).toEqual({ b: 'other!', c: '' })
      expect(await afterCut('inode-weak', script, { a: 'first' }, 'directory')).toEqual({ a: 'first', b: 'other!' })
    })
  })
})

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return child.exitCode
}
