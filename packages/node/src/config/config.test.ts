import { readFileSync } from 'node:fs'
import { checkConfig, inWords } from './check.ts'
import { NEW_CONFIG, withoutValue, withValue } from './edit.ts'
import { jsonSchemaText } from './json-schema.ts'
import { layerOf } from './layer-names.ts'
import { type Config, DEFAULTS } from './schema.ts'
import fc from 'fast-check'
import { parse, stringify } from 'smol-toml'
import { describe, expect, test } from 'vitest'

const problems = (text: string): string[] => {
  const checked = checkConfig(text)
  return checked.ok ? [] : checked.error.problems.map(inWords)
}
const read = (path: string): string => readFileSync(new URL(`../../../../${path}`, import.meta.url), 'utf8')

describe('config check', () => {
  test.each([
    ['', []],
    ['[node]\nlog_level = "info"\n', []],
    ['[node]\nlog_levle = "info"\n', ['2:1 node.log_levle: unknown key, did you mean log_level?']],
    ['[noed]\n', ['1:2 noed: unknown key, did you mean node?']],
    ['x = 1\n', ['1:1 x: unknown key, expected one of node, network, direct, snapshots, messages, aliases, agents']],
    [
      '# a comment\n[node]\n  log_level = "inof"\n',
      ['3:15 node.log_level: expected one of debug, info, warn, error; did you mean info?'],
    ],
    ['node = 3\n', ['1:8 node: expected a table']],
    ['aliases = { diary = "semantic" }', [expect.stringMatching(/^1:1 aliases.diary: expected a name of your own/)]],
    [
      '[agents.claude.share]\nepisodic = "standby"\nsemantic = [\n  "Office",\n]\n',
      [expect.stringMatching(/^3:12 agents.claude.share.semantic\.0: expected standby, a node or an agent/)],
    ],
    [
      '[agents."claude".share]\ndiary = "standby"\n',
      ['2:1 agents.claude.share.diary: expected a layer other than the diary, whose content never leaves its machine'],
    ],
    ['agents.claude.shrae.semantic = "standby"\n', ['1:1 agents.claude.shrae: unknown key, did you mean share?']],
    [
      '[aliases]\nnotes = "semantic"\n[agents.a.share]\nnotes = "standby"\n',
      ['4:1 agents.a.share.notes: expected the layer itself, not an alias of it'],
    ],
    ['[node]\nlog_level = \n', ['2:13 not TOML: invalid value']],
    ['[node]\nlog_level = "a"\nlog_level = "b"\n', [expect.stringMatching(/^3:\d+ not TOML: /)]],
  ])('%j', (text, expected) => {
    expect(problems(text)).toEqual(expected)
  })
  test('several problems come in the order of the file', () => {
    const text = '[node]\nlog_level = 3\n\n[agents.claude]\nshare = { diary = "standby" }\nwat = 1\n'
    expect(problems(text).map((each) => each.split(' ')[0])).toEqual(['2:13', '5:1', '6:1'])
  })
  test('no text makes it throw, and each problem lies within the file', () => {
    const line = fc.constantFrom(
      '[node]',
      '[agents.a.share]',
      'x = """',
      '"""',
      'a.b = [',
      ']',
      'log_level = 1',
      '"q.r" = {}',
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(line, fc.string()), { maxLength: 8 }), (lines) => {
        const text = lines.join('\n')
        const checked = checkConfig(text)
        if (checked.ok) return
        for (const { line: at, column } of checked.error.problems) {
          expect(at).toBeGreaterThan(0)
          expect(at).toBeLessThanOrEqual(text.split('\n').length + 1)
          expect(column).toBeGreaterThan(0)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

test('the committed JSON Schema is that of the program: node packages/node/bin/sealmesh.js config schema', () => {
  expect(JSON.parse(read('packages/node/config.schema.json'))).toEqual(JSON.parse(jsonSchemaText()))
})

test('the JSON Schema keeps to the words of draft 4, and has the same keys as the program', () => {
  const words = new Set<string>()
  const walk = (part: unknown): void => {
    if (typeof part !== 'object' || part === null) return
    for (const [key, value] of Object.entries(part)) {
      if (key !== 'properties' && key !== 'patternProperties') words.add(key)
      else for (const inside of Object.values(value as object)) walk(inside)
      walk(value)
    }
  }
  const schema = JSON.parse(jsonSchemaText()) as { properties: object }
  walk(schema.properties)
  for (const later of ['propertyNames', 'const', 'if', 'contains', '$defs']) expect(words.has(later)).toBe(false)
  expect(jsonSchemaText()).toContain('"^(?!(?:diary)$)')
})

test('the page about the config shows one that is right', () => {
  const [, example = ''] = /```toml\n([^]*?)```/.exec(read('docs/config.md')) ?? []
  expect(example).toContain('#:schema')
  expect(problems(example)).toEqual([])
})

describe('config set', () => {
  const text = `${NEW_CONFIG}\n[node] # this machine\n# more while testing\nlog_level = "info" # the usual\n`
  test('changes one value and keeps every comment', () => {
    expect(withValue(text, 'node.log_level', 'debug')).toBe(text.replace('"info"', '"debug"'))
  })
  test('makes tables that are not there, and takes values of TOML', () => {
    const written = withValue(text, 'agents.claude.share.semantic', '["standby", "office:write"]')
    expect(written.startsWith(text.trimEnd().slice(0, 40))).toBe(true)
    expect(parse(written)).toMatchObject({ agents: { claude: { share: { semantic: ['standby', 'office:write'] } } } })
    expect(parse(withoutValue(written, 'agents.claude.share.semantic'))).toMatchObject({
      agents: { claude: { share: {} } },
    })
  })
  test.each([
    ['node.log_level', 'loud', 'CONFIG_INVALID'],
    ['node.lgo_level', 'info', 'CONFIG_INVALID'],
    ['agents.claude.share.diary', 'standby', 'CONFIG_INVALID'],
    ['a..b', 'x', 'USAGE'],
    ['a\nb', 'x', 'USAGE'],
    ['', 'x', 'USAGE'],
  ])('%j = %s is refused', (key, value, code) => {
    expect(() => withValue(text, key, value)).toThrow(expect.objectContaining({ code }))
  })
  test('a file that is wrong already is left alone', () => {
    expect(() => withValue('[nod]\n', 'node.log_level', 'info')).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    )
    expect(() => withoutValue(text, 'aliases.x')).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })
})

describe('the diary', () => {
  /** Configs as anybody might try them: most are refused, and of the others none may touch the diary. */
  const layer = fc.constantFrom('diary', 'semantic', 'notes', 'diaries', 'hippo', 'x')
  const target = fc.constantFrom('standby', 'office', 'office:write', 'diary', 'diary:write')
  const aliases = fc.dictionary(layer, layer, { maxKeys: 3 })
  const config = fc.record(
    {
      aliases,
      agents: fc.dictionary(
        fc.constantFrom('claude', 'codex'),
        fc.record(
          {
            share: fc.dictionary(layer, fc.oneof(target, fc.array(target, { minLength: 1 })), { maxKeys: 3 }),
            aliases,
          },
          { requiredKeys: [] },
        ),
        { maxKeys: 2 },
      ),
    },
    { requiredKeys: [] },
  )
  test('no config that the schema takes shares it, or sends what is written to it elsewhere', () => {
    let taken = 0
    fc.assert(
      fc.property(config, (raw) => {
        const checked = checkConfig(stringify(raw))
        if (!checked.ok) return
        taken += 1
        const { agents }: Config = checked.value
        for (const agent of ['claude', 'codex', 'other']) {
          expect(layerOf(checked.value, agent, 'diary')).toBe('diary')
          const share = Object.hasOwn(agents, agent) ? (agents[agent]?.share ?? {}) : {}
          for (const shared of Object.keys(share)) {
            expect(shared).not.toBe('diary')
            // By whichever name it is meant.
            expect(layerOf(checked.value, agent, shared)).toBe(shared)
          }
        }
      }),
      { numRuns: 3_000 },
    )
    expect(taken).toBeGreaterThan(100)
  })
  test('without a config nothing is shared', () => {
    expect(DEFAULTS).toEqual({
      node: { log_level: 'info' },
      network: { tls: 'checked' },
      direct: { peers: [], mdns: false },
      snapshots: { vault: 'daily' },
      messages: { talk: 'open', rate: 10_000, roster: 'granted', roster_life: '15m', log: 'on' },
      aliases: {},
      agents: {},
    })
  })
})
