import fc from 'fast-check'
import { expect, test } from 'vitest'
import { entriesOf, withEntry, withoutEntry } from './entry.ts'
import { undoOf, undone } from './undo.ts'

/** Configurations as people and editors leave them: whatever they look like, they come back as they were. */

const ENTRY = { command: '/usr/bin/node', args: ['/opt/seal mesh/sealmesh.js', 'mcp', '--agent', 'claude'] }
const BOM = '\uFEFF'

const eol = fc.constantFrom('\n', '\r\n')
const indent = fc.constantFrom('  ', '    ', '\t', ' ')
const before = fc.constantFrom('', BOM)
const word = fc.constantFrom('a', 'theme', 'sealmesh-old', 'ümlaut', 'a b', 'constructor', '__proto__', 'x.y')
const scalar = fc.oneof(
  fc.integer({ min: -9, max: 9 }),
  fc.boolean(),
  fc.constantFrom('', 'dark', 'C:\\x', '"quoted"', 'line\nbreak', '// none', '# none'),
)
const others = fc.uniqueArray(fc.tuple(word, scalar), { maxLength: 4, selector: ([key]) => key })
/** Ours may be there already, by somebody else's hand. */
const servers = fc.uniqueArray(fc.constantFrom('sealmesh', 'other', 'constructor', 'x-y'), { maxLength: 3 })
const shape = fc.record({ eol, indent, before, others, servers, hasTable: fc.boolean(), isFirst: fc.boolean() })
type Looks = typeof shape extends fc.Arbitrary<infer T> ? T : never

const json = fc
  .record({ looks: shape, comma: fc.boolean(), comments: fc.boolean(), end: fc.constantFrom('', '\n', '\r\n\r\n') })
  .map(({ looks, comma, comments, end }) => {
    const { eol: line, indent: step, before: first } = looks
    const remark = comments ? ` // "mcpServers": {` : ''
    const entries = looks.servers.map((name) => `${step}${step}${JSON.stringify(name)}: {"command": "x"}`)
    const table = [`${step}"mcpServers": {${remark}`, entries.join(`,${line}`), `${step}}`].filter(
      (part) => part !== '',
    )
    const rest = looks.others.map(([key, value]) => `${step}${JSON.stringify(key)}:${step}${JSON.stringify(value)}`)
    const members = looks.hasTable ? inOrder(looks, table.join(line), rest) : rest
    const last = comma && members.length > 0 ? ',' : ''
    return `${first}${comments ? `/* mine */${line}` : ''}{${line}${members.join(`,${line}`)}${last}${line}}${end}`
  })

const toml = fc
  .record({ looks: shape, comments: fc.boolean(), end: fc.constantFrom('', '\n', '\r\n\r\n'), isDotted: fc.boolean() })
  .map(({ looks, comments, end, isDotted }) => {
    const { eol: line, before: first } = looks
    const remark = comments ? '   # [mcp_servers.sealmesh]' : ''
    const rest = looks.others.map(([key, value]) => `${JSON.stringify(key)} = ${JSON.stringify(value)}${remark}`)
    const names = looks.hasTable ? looks.servers : []
    const dotted = names.map((name) => `mcp_servers.${name}.command = "x"${remark}`)
    const tables = names.flatMap((name) => [`[mcp_servers.${name}]${remark}`, 'command = "x"', ''])
    const lines = isDotted ? [...dotted, ...rest, '[tui]', 'theme = 1'] : [...rest, '', ...tables, '[tui]', 'theme = 1']
    return first + lines.join(line) + end
  })

const inOrder = ({ isFirst }: Looks, table: string, rest: readonly string[]): string[] =>
  isFirst ? [table, ...rest] : [...rest, table]

const TOML = { format: 'toml', table: 'mcp_servers' } as const
const FORMATS = [
  ['JSON', { format: 'json', table: 'mcpServers' }, json],
  ['TOML', TOML, toml],
] as const

test.each(FORMATS)(
  'any %s that is readable comes back byte for byte, and with a later edit but for the entry',
  (_, place, file) => {
    let edited = 0
    fc.assert(
      fc.property(file, fc.constantFrom('sealmesh', 'constructor'), (text, name) => {
        const known = entriesOf(text, place)
        if (known === undefined) return
        const after = withEntry(text, place, name, ENTRY)
        // What cannot be done without touching something else is refused, and nothing is written.
        if (after === undefined) return
        edited += 1
        expect(entriesOf(after, place)).toEqual({ ...known, [name]: ENTRY })
        if (!Object.hasOwn(known, name)) expect(withoutEntry(text, place, name)).toBe(text)
        expect(undone(after, undoOf(text, after))).toEqual({ text })
        expect(after.startsWith(BOM)).toBe(text.startsWith(BOM))
        const later = withEntry(after, place, 'newer', { command: 'y', args: [] })
        if (later === undefined) return
        expect(undone(later, undoOf(text, after))).toBe('changed')
        const left = withoutEntry(later, place, name)
        const { [name]: _ours, ...rest } = known as Record<string, unknown>
        if (left !== undefined) expect(entriesOf(left, place)).toEqual({ ...rest, newer: { command: 'y', args: [] } })
      }),
      { numRuns: 300 },
    )
    // Or it would say nothing.
    expect(edited).toBeGreaterThan(200)
  },
)

test('lines of others keep their endings, whichever they are', () => {
  const mine = '[mcp_servers.sealmesh]\ncommand = "x"\r\n\n'
  const [above, below] = ['a = 1\r\nb = 2\n\r\n', '[tui]\r\ntheme = 1\nlast = 2']
  const after = withEntry(above + mine + below, TOML, 'sealmesh', ENTRY) ?? ''
  expect(entriesOf(after, TOML)).toEqual({ sealmesh: ENTRY })
  expect(after.startsWith(above)).toBe(true)
  expect(after.endsWith(below)).toBe(true)
  const left = withoutEntry(after, TOML, 'sealmesh') ?? ''
  expect(entriesOf(left, TOML)).toEqual({})
  expect(left.startsWith('a = 1\r\nb = 2\n')).toBe(true)
  expect(left.endsWith(below)).toBe(true)
})

test.each(FORMATS)('what is no %s is not edited', (_, place) => {
  fc.assert(
    fc.property(fc.string({ maxLength: 40 }), fc.constantFrom('{', '[', '= ', '"', '\0'), (text, start) => {
      const broken = `${start}${text}`
      if (entriesOf(broken, place) !== undefined) return
      expect(withEntry(broken, place, 'sealmesh', ENTRY)).toBeUndefined()
      expect(withoutEntry(broken, place, 'sealmesh')).toBeUndefined()
    }),
  )
})

test("the entry's neighbours keep their layout, when it comes and when it goes", () => {
  const mine = (lines: readonly string[]): string => lines.join('\r\n')
  const other = '      "other": { "command": "x",   "args": [] }'
  const [head, tail] = [
    ['{', '   "n": 1,', '  "mcpServers": {'],
    ['  },', '  "x":1}'],
  ]
  const given = mine([...head, other, ...tail])
  const shape = { format: 'json', table: 'mcpServers' } as const
  const after = withEntry(given, shape, 'sealmesh', ENTRY) ?? ''
  expect(after.startsWith(mine([...head, `${other},`, '']))).toBe(true)
  expect(after.endsWith(mine(['', ...tail]))).toBe(true)
  expect(withoutEntry(after, shape, 'sealmesh')).toBe(given)
})
