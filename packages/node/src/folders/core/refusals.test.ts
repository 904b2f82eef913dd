import { describe, expect, test } from 'vitest'
import { refusedByContent, refusedByName } from './refusals.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const byContent = (text: string, executable = false) => refusedByContent(bytes(text), text, executable)?.refusal

describe('by its name', () => {
  test.each([
    ['EXECUTABLE', ['go.sh', 'a/b.exe', 'x.PS1', 'lib.so', 'Start.command', 'shell.bat', 'app.jar']],
    ['HOOK', ['hooks/pre.txt', 'a/.git/config', '.husky/x', 'hooks.json', '.githooks/a', 'HOOKS/a.md']],
    [
      'SETTINGS',
      [
        '.mcp.json',
        'mcp.json',
        'settings.json',
        '.claude/settings.local.json',
        '.claude/commands/a.md',
        'x/.claude/agents/a.md',
        '.vscode/tasks.json',
        '.bashrc',
        '.envrc',
        '.codex/config.toml',
        '.github/workflows/ci.yml',
        '.gitconfig',
      ],
    ],
    ['SECRET', ['.env', '.env.local', 'id_ed25519', 'server.pem', '.npmrc', 'credentials.json', 'secrets/a.json']],
  ])('%s', (refusal, paths) => {
    for (const path of paths) expect(refusedByName(path)?.refusal, path).toBe(refusal)
  })
  test('memory and notes are not refused', () => {
    for (const path of [
      'MEMORY.md',
      'CLAUDE.md',
      'AGENTS.md',
      'notes/tokens.md',
      'a.json',
      'b.py',
      'webhooks.md',
      'x.ts',
    ])
      expect(refusedByName(path), path).toBe(undefined)
  })
})

describe('by its content', () => {
  test('programs are refused, whatever they are called', () => {
    expect(byContent('#!/usr/bin/env python\n')).toBe('EXECUTABLE')
    expect(byContent('\ufeff#!/bin/sh\n')).toBe('EXECUTABLE')
    expect(byContent('plain', true)).toBe('EXECUTABLE')
    for (const magic of [
      [0x7f, 0x45, 0x4c, 0x46],
      [0x4d, 0x5a, 0x90, 0],
      [0xcf, 0xfa, 0xed, 0xfe],
      [0xca, 0xfe, 0xba, 0xbe],
      [0, 0x61, 0x73, 0x6d],
    ])
      expect(refusedByContent(Uint8Array.from(magic), undefined, false)?.refusal, String(magic)).toBe('EXECUTABLE')
    expect(byContent('MZ is how Windows programs begin\n')).toBe(undefined)
  })
  test('secrets are refused, with the line and never what it says', () => {
    const refused = refusedByContent(bytes(''), `a\nb\ntoken: ghp_${'a1'.repeat(20)}\n`, false)
    expect(refused).toEqual({ refusal: 'SECRET', because: 'line 3 looks like a GitHub token' })
    expect(byContent('-----BEGIN RSA PRIVATE KEY-----')).toBe('SECRET')
    expect(byContent(`${'x '.repeat(50_000)}sk-ant-${'a1'.repeat(20)}`)).toBe('SECRET')
    const der = Uint8Array.from([0, ...bytes('-----BEGIN PRIVATE KEY-----')])
    expect(refusedByContent(der, undefined, false)?.refusal).toBe('SECRET')
  })
})
