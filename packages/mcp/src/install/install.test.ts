import fc from 'fast-check'
import { expect, test } from 'vitest'
import { configPlace } from './clients.ts'
import { entriesOf, withEntry, withoutEntry } from './entry.ts'
import { undoOf, undone } from './undo.ts'

const JSON_SHAPE = { format: 'json', table: 'mcpServers' } as const
const TOML_SHAPE = { format: 'toml', table: 'mcp_servers' } as const
const ENTRY = { command: '/usr/bin/node', args: ['/opt/seal mesh/sealmesh.js', 'mcp', '--agent', 'claude "x" \\'] }

const FILES: readonly [string, typeof JSON_SHAPE | typeof TOML_SHAPE, string][] = [
  ['nothing', JSON_SHAPE, ''],
  ['an empty object', JSON_SHAPE, '{}'],
  ['two blanks', JSON_SHAPE, '{\n  "theme": "dark",\n  "mcpServers": {\n    "other": { "command": "x" }\n  }\n}\n'],
  ['tabs, no end of line', JSON_SHAPE, '{\n\t"mcpServers": {}\n}'],
  ['Windows lines', JSON_SHAPE, '{\r\n    "a": [1,  2],\r\n    "mcpServers": {}\r\n}\r\n'],
  ['comments and a trailing comma', JSON_SHAPE, '{\n  // mine\n  "mcpServers": {\n    "a": {}, // kept\n  },\n}\n'],
  ['one line', JSON_SHAPE, '{"projects":{"/x":{"mcpServers":{}}},"n":1}'],
  ['no TOML', TOML_SHAPE, ''],
  ['comments', TOML_SHAPE, '# mine\nmodel = "o9"   # the best\n\n[mcp_servers.other]\ncommand = "x"\n'],
  ['no end of line', TOML_SHAPE, 'model = "o9"'],
  ['dotted keys', TOML_SHAPE, 'mcp_servers.a.command = "x"\n[tui]\ntheme = "dark"\n'],
]

test.each(FILES)('an entry goes into a file with %s, and out again byte for byte', (_, shape, before) => {
  const after = withEntry(before, shape, 'sealmesh', ENTRY) ?? ''
  expect(entriesOf(after, shape)?.['sealmesh']).toEqual(ENTRY)
  expect(undone(after, undoOf(before, after))).toEqual({ text: before })
})

test.each(FILES)('from a file with %s that somebody has edited since only the entry is taken', (_, shape, before) => {
  const after = withEntry(before, shape, 'sealmesh', ENTRY) ?? ''
  const edited = withEntry(after, shape, 'newer', { command: 'y', args: [] }) ?? ''
  expect(undone(edited, undoOf(before, after))).toBe('changed')
  const left = withoutEntry(edited, shape, 'sealmesh') ?? ''
  expect(entriesOf(left, shape)).toEqual({ ...entriesOf(before, shape), newer: { command: 'y', args: [] } })
})

test('an entry that is there is replaced, and nothing beside it', () => {
  for (const [, shape, before] of FILES) {
    const once = withEntry(before, shape, 'sealmesh', ENTRY) ?? ''
    const twice = withEntry(once, shape, 'sealmesh', { command: 'z', args: ['1'] }) ?? ''
    expect(entriesOf(twice, shape)).toEqual({ ...entriesOf(before, shape), sealmesh: { command: 'z', args: ['1'] } })
  }
})

test('what cannot be read, or has something else in the place, is not edited', () => {
  for (const text of ['{', '[]', '{"mcpServers": 7}', 'nonsense'])
    expect(withEntry(text, JSON_SHAPE, 'a', ENTRY)).toBeUndefined()
  for (const text of ['= 7', 'mcp_servers = 7', '[a']) expect(withEntry(text, TOML_SHAPE, 'a', ENTRY)).toBeUndefined()
})

test('a file that was not there shall not be there again', () => {
  const after = withEntry('', JSON_SHAPE, 'sealmesh', ENTRY) ?? ''
  expect(undone(after, undoOf(null, after))).toBe('gone')
})

test('any edit is undone exactly, and any other text is known to be another', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), (before, after, other) => {
      const undo = undoOf(before, after)
      expect(undone(after, undo)).toEqual({ text: before })
      if (other !== after) expect(undone(other, undo)).toBe('changed')
    }),
  )
})

test('each client has its own file', () => {
  const machine = { home: '/home/anna', env: {} }
  expect(configPlace('claude-code', machine)?.file).toBe('/home/anna/.claude.json')
  expect(configPlace('claude-code', machine, '/src/shop')?.file).toBe('/src/shop/.mcp.json')
  expect(configPlace('cursor', machine)?.file).toBe('/home/anna/.cursor/mcp.json')
  expect(configPlace('codex', machine)?.file).toBe('/home/anna/.codex/config.toml')
  expect(configPlace('codex', { ...machine, env: { CODEX_HOME: '/etc/codex' } })?.file).toBe('/etc/codex/config.toml')
  expect(configPlace('codex', machine, '/src/shop')).toBeUndefined()
})
