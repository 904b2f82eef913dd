import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../keys/temporary-home.ts'
import { type RunOptions, runVerb } from './run-verb.ts'

/** The verbs of the config on a home whose node does not run. */
async function homeWith(config?: string) {
  const home = join(await temporaryFolder(), 'home')
  await mkdir(home, { mode: 0o700 })
  const path = join(home, 'config.toml')
  if (config !== undefined) await writeFile(path, config)
  const editor = async (script: string): Promise<RunOptions> => {
    const file = join(home, 'editor')
    await writeFile(file, `#!/bin/sh\n${script}\n`)
    await chmod(file, 0o755)
    return { types: 'y', env: { EDITOR: `'${file}'`, PATH: process.env['PATH'] } }
  }
  const cli = (words: readonly string[], options: RunOptions = {}) =>
    runVerb(['config', ...words, '--home', home], options)
  return { home, path, cli, editor }
}

describe('config', () => {
  test('show has every setting, those of the file and the defaults', async () => {
    const { cli } = await homeWith('[agents.claude.share]\nsemantic = "standby"\n')
    expect(JSON.parse((await cli(['show', '--json'])).out)).toEqual({
      node: { log_level: 'info' },
      network: { tls: 'checked' },
      direct: { peers: [], mdns: false },
      snapshots: { vault: 'daily' },
      messages: { talk: 'open', rate: 10_000, roster: 'granted', roster_life: '15m', log: 'on' },
      aliases: {},
      agents: { claude: { share: { semantic: 'standby' }, aliases: {}, drill: {}, pipes: false } },
    })
  })
  test('check names file, line and column, and gives them as JSON', async () => {
    const { cli, path } = await homeWith('[node]\nlog_level = "loud"\n')
    const failed = await cli(['check'])
    expect(failed).toMatchObject({ exit: 2, out: '' })
    expect(failed.err).toContain(`${path}:2:13 node.log_level: expected one of debug, info, warn, error`)
    expect(JSON.parse((await cli(['check', '--json'])).out)).toMatchObject({
      ok: false,
      problems: [{ line: 2, column: 13, path: 'node.log_level' }],
    })
  })
  test('set makes a file for its owner alone, with its schema beside it', async () => {
    const { cli, path, home } = await homeWith()
    expect((await cli(['check'])).out).toContain('all is by default')
    expect((await cli(['set', 'node.log_level', 'debug'])).exit).toBe(0)
    const text = await readFile(path, 'utf8')
    expect(text.startsWith('#:schema ./config.schema.json\n')).toBe(true)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    const schema = JSON.parse(await readFile(join(home, 'config.schema.json'), 'utf8')) as unknown
    expect(schema).toEqual(JSON.parse((await cli(['schema', '--json'])).out))
    expect((await cli(['unset', 'node.log_level'])).exit).toBe(0)
    expect(await readFile(path, 'utf8')).not.toContain('debug')
  })
  test('edit takes what the schema takes, and keeps the rest beside it', async () => {
    const before = '# mine\n[node]\nlog_level = "info"\n'
    const { cli, path, editor } = await homeWith(before)
    expect((await cli(['edit'], await editor('sed -i s/info/warn/ "$1"'))).exit).toBe(0)
    const good = before.replace('info', 'warn')
    expect(await readFile(path, 'utf8')).toBe(good)
    const refused = await cli(['edit'], await editor('echo "[nodes]" >> "$1"'))
    expect(refused).toMatchObject({ exit: 2, err: expect.stringContaining(`${path}.draft:4:2 nodes: unknown key`) })
    expect(await readFile(path, 'utf8')).toBe(good)
    expect(await readFile(`${path}.draft`, 'utf8')).toContain('[nodes]')
  })
  test('edit wants a terminal', async () => {
    const { cli } = await homeWith()
    expect(await cli(['edit'])).toMatchObject({ exit: 2, err: expect.stringContaining('Editing wants a terminal') })
  })
})
