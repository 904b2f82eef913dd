import { Command } from 'commander'
import { expect, test } from 'vitest'
import { type AllowanceFlags, allowanceOf, allowanceWords, toolsOf, withAllowance } from './mcp-allowance.ts'

function flags(...words: string[]): AllowanceFlags {
  const command = withAllowance(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
  return command.parse(words, { from: 'user' }).opts<AllowanceFlags>()
}

test('lists mean what they say, and are written down again as they were', () => {
  const words = [
    '--tools',
    'memory_get,memory_put',
    '--peers',
    'codex,ada@office,#news,*',
    '--layers',
    'semantic:write,codex.semantic',
  ]
  const given = flags(...words)
  expect(allowanceWords(given)).toEqual(words)
  expect(toolsOf(given)).toEqual({ allowed: new Set(['memory_get', 'memory_put']) })
  expect(allowanceOf(given, 'claude')).toEqual({
    peers: new Set(['codex', 'ada@office', '#news', '*']),
    layers: new Map([
      ['claude.semantic', 'write'],
      ['codex.semantic', 'read'],
    ]),
  })
})

test('without lists there is no limit', () => {
  expect(allowanceWords(flags())).toEqual([])
  expect(toolsOf(flags())).toEqual({})
  expect(allowanceOf(flags(), 'claude')).toEqual({})
})

test.each([
  [['--tools', 'memory_got']],
  [['--tools', '']],
  [['--layers', 'semantic:read']],
  [['--layers', 'a.b.c']],
  [['--layers', 'semantic,']],
  [['--layers', '*']],
  [['--peers', 'code x']],
  [['--peers', '']],
  [['--peers', Array.from({ length: 65 }, (_, n) => `p${n}`).join(',')]],
  [['--compat', 'other']],
])('%s is refused', (words) => {
  expect(() => flags(...words)).toThrow()
})

test('a list of the other server’s tools leaves nothing, and is refused', () => {
  expect(() => toolsOf(flags('--tools', 'read_graph'))).toThrow(/read_graph/)
  expect(() => toolsOf(flags('--compat', 'server-memory', '--tools', 'read_graph,memory_get'))).toThrow(/memory_get/)
  expect(toolsOf(flags('--compat', 'server-memory', '--tools', 'read_graph'))).toEqual({
    allowed: new Set(['read_graph']),
  })
})
