import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { parse, stringify } from 'smol-toml'
import { describe, expect, test } from 'vitest'
import { DEFAULT_LIMITS } from '../core/limits.ts'
import { checkConfig, inWords } from './check.ts'
import { jsonSchemaText } from './json-schema.ts'
import { keyOfLimit, LIMIT_NAMES, LIMIT_TABLE } from './limit-table.ts'
import { reloaded } from './reload.ts'
import { Config } from './schema.ts'
import { configOf, type Settings, settingsOf, type UpFlags } from './settings.ts'
import { configTemplate } from './template.ts'

const problems = (text: string): string[] => {
  const checked = checkConfig(text)
  return checked.ok ? [] : checked.error.map(inWords)
}
const settings = (text: string, flags: UpFlags = {}): Settings => {
  const checked = checkConfig(text)
  if (!checked.ok) throw new Error(checked.error.map(inWords).join())
  return settingsOf(flags, checked.value, '/etc/relay/relay.toml')
}

describe('what is wrong with a config', () => {
  test.each([
    ['', []],
    ['[limits]\nmailbox_bytes_max = 1_000_000\n', []],
    ['\n[limits]\nmailbox_bytes_max = 5\n', [/^3 limits.mailbox_bytes_max: expected a whole number of bytes between/]],
    ['[limits]\nstall_ms = "10s"\n', [/^2 limits.stall_ms: expected a whole number of ms between 1000 and 600000/]],
    [
      '[limits]\nmailbox_byte_max = 5\n',
      [/^2 limits.mailbox_byte_max: unknown key, expected one of mailbox_bytes_max/],
    ],
    ['[limit]\n', [/^1 limit: unknown key, expected one of listen, tls, limits/]],
    ['[log]\nlevel = "loud"\n', [/^2 log.level: expected one of silent, error, warn, info, debug/]],
    ['[listen]\nport = 70000\n', [/^2 listen.port: expected a port between 0 and 65535/]],
    ['[metrics]\nlisten = "9464"\n', [/^2 metrics.listen: expected an address and a port/]],
    ['tls = 3\n', [/^1 tls: expected a table/]],
    ['[log\n', [/^1 not TOML: /]],
  ])('%j', (text, expected) => {
    expect(problems(text)).toEqual(expected.map((each) => expect.stringMatching(each) as string))
  })

  test('two things are both said, in the order of the file', () => {
    const text = '[log]\nlevel = "loud"\n[limits]\nstall_ms = 1\nx = 1\n'
    expect(problems(text).map((each) => each.split(' ')[0])).toEqual(['2', '4', '5'])
  })

  test('no text makes it throw, and each problem lies within the file', () => {
    const line = fc.constantFrom(
      '[limits]',
      '[log]',
      'level = 1',
      'x = """',
      '"""',
      'a.b = [',
      ']',
      'limits.stall_ms = 1',
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(line, fc.string()), { maxLength: 8 }), (lines) => {
        const text = lines.join('\n')
        const checked = checkConfig(text)
        if (checked.ok) return
        for (const { line: at } of checked.error) {
          expect(at).toBeGreaterThan(0)
          expect(at).toBeLessThanOrEqual(text.split('\n').length + 1)
        }
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('the config that init writes', () => {
  test('is right, and says nothing but where metrics are read', () => {
    expect(problems(configTemplate())).toEqual([])
    expect(parse(configTemplate())).toEqual({
      listen: {},
      tls: {},
      admission: {},
      log: {},
      metrics: { listen: '127.0.0.1:9464' },
      cluster: {},
      limits: {},
    })
  })

  test('names every limit with its default, so that without its marks it says the same', () => {
    const unmarked = configTemplate().replaceAll(/^# ([a-z_]+ = )/gm, '$1')
    const [limits = ''] = unmarked.split('[limits]').slice(1)
    const written = settings(`[limits]${limits}`)
    expect(written.limits).toEqual(DEFAULT_LIMITS)
    expect(new Set(Object.values(written.limitOrigins))).toEqual(new Set(['file']))
    expect(problems(unmarked)).toEqual([])
  })
})

describe('settings', () => {
  test('flags come before the file, and the file before the defaults', () => {
    const file = '[listen]\nport = 1000\n[limits]\nstall_ms = 5000\nmailbox_packets_max = 7\n[log]\nlevel = "warn"\n'
    const both = settings(file, { mailboxPackets: '9', limit: ['silence_ms=30000'], port: '2000' })
    expect(both).toMatchObject({ port: 2_000, logLevel: 'warn', admission: 'claims', metrics: null })
    expect(both.limits).toEqual({ ...DEFAULT_LIMITS, mailboxPacketsMax: 9, stallMs: 5_000, silenceMs: 30_000 })
    const { mailboxPacketsMax, stallMs, meshBytesMax } = both.limitOrigins
    expect([mailboxPacketsMax, stallMs, meshBytesMax]).toEqual(['flag', 'file', 'default'])
  })

  test.each<UpFlags>([
    { port: '-1' },
    { port: '1e3' },
    { mailboxBytes: '1' },
    { limit: ['stall_ms=1'] },
    { limit: ['stallMs=10000'] },
    { limit: ['stall_ms'] },
    { logLevel: 'loud' },
    { tls: 'maybe' },
    { cert: 'a.pem' },
    { metrics: '9464' },
    { admission: 'all' },
    { publicUrl: 'https://relay.example.org' },
    { publicUrl: 'ws://relay.example.org' },
    { publicUrl: 'wss://relay.example.org#relay=1' },
    { trustedProxy: 'localhost' },
  ])('%j is refused', (flags) => {
    expect(() => settings('', flags)).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })

  test('a certificate of the file lies beside the file, and needs its key', () => {
    expect(settings('[tls]\nmode = "files"\ncert = "a.pem"\nkey = "/k.pem"\n').tls).toEqual({
      type: 'files',
      cert: '/etc/relay/a.pem',
      key: '/k.pem',
    })
    for (const text of ['[tls]\ncert = "a.pem"\n', '[tls]\nmode = "none"\ncert = "a.pem"\nkey = "b"\n'])
      expect(() => settings(text)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })

  test('written down as a file they are the same settings', () => {
    const files = { cert: '/a.pem', key: '/b.pem', metrics: '[::1]:1', publicHost: 'relay.example.org' }
    const proxied = { publicUrl: 'wss://relay.example.org/mesh', trustedProxy: '127.0.0.1,10.0.0.0/8' }
    for (const flags of [{}, files, proxied, { tls: 'none', metrics: 'off', admission: 'list' }]) {
      const before = settings('[limits]\nstall_ms = 5000\n', flags)
      const { limitOrigins: _, ...after } = settings(stringify(configOf(before)))
      expect(after).toEqual({ ...before, limitOrigins: undefined })
    }
  })
})

test('a proxy that cannot be trusted by its name, and an address that nobody can dial, are named by line and key', () => {
  const text = '[listen]\npublic_url = "http://relay"\ntrusted_proxy = "caddy"\n'
  const checked = checkConfig(text)
  expect(checked.ok ? [] : checked.error.map(({ line, key }) => [line, key])).toEqual([
    [2, 'listen.public_url'],
    [3, 'listen.trusted_proxy'],
  ])
})

test('the bounds of every limit hold its default', () => {
  for (const name of LIMIT_NAMES) {
    const { min, max } = LIMIT_TABLE[name]
    expect(DEFAULT_LIMITS[name], name).toBeGreaterThanOrEqual(min)
    expect(DEFAULT_LIMITS[name], name).toBeLessThanOrEqual(max)
  }
})

test('a reload names what changed, takes limits, and says what waits for a restart', () => {
  const now = settings('')
  const read = settings('[limits]\nstall_ms = 5000\n[listen]\nport = 1\n[log]\nlevel = "debug"\n[tls]\nmode = "none"\n')
  const { settings: next, said } = reloaded(now, read)
  expect(said).toEqual({
    changed: [
      { key: 'limits.stall_ms', from: 10_000, to: 5_000 },
      { key: 'log.level', from: 'info', to: 'debug' },
    ],
    restart: ['listen.host', 'listen.port', 'tls'],
  })
  expect(next).toEqual({ ...now, limits: read.limits, limitOrigins: read.limitOrigins, logLevel: 'debug' })
  // It is said again as long as it waits.
  expect(reloaded(next, read).said).toEqual({ changed: [], restart: ['listen.host', 'listen.port', 'tls'] })
})

test('the committed JSON Schema is that of the program: node packages/relay/bin/sealmesh-relay.js config schema', () => {
  const committed = readFileSync(new URL('../../config.schema.json', import.meta.url), 'utf8')
  expect(JSON.parse(committed)).toEqual(JSON.parse(jsonSchemaText()))
  const { properties } = JSON.parse(jsonSchemaText()) as { properties: { limits: { properties: object } } }
  expect(Object.keys(properties)).toEqual(Object.keys(Config.shape))
  expect(Object.keys(properties.limits.properties)).toEqual(LIMIT_NAMES.map(keyOfLimit))
})
