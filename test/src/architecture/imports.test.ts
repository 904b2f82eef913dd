import { describe, expect, test } from 'vitest'
import { importsOf, isTest, reachOf, readSource, sourceFiles, targetOf } from './sources.ts'

/**
 * The import rules of DESIGN §4 over whole chains: lint sees one import at a time, what is built contains all that
 * they lead to. A failure prints the chain, from the file that must not reach to the file that it reaches.
 */
const product = (folder: string) => sourceFiles(folder).filter((path) => !isTest(path))

function chainsTo(starts: readonly string[], forbidden: RegExp): string[] {
  return [...reachOf(starts).files].filter(([file]) => forbidden.test(file)).map(([, chain]) => chain.join(' → '))
}

describe('the relay is blind', () => {
  const relay = product('packages/relay/src')

  test('no chain of imports reaches the half that opens or seals packets', () => {
    expect(chainsTo(relay, /^packages\/protocol\/src\/envelope\/(?!packet\.ts$|header\.ts$|mailbox\.ts$)/)).toEqual([])
  })
  test('no chain of imports reaches documents, the membership log, pairing or the node', () => {
    expect(chainsTo(relay, /^packages\/protocol\/src\/(crdt|membership|pairing|failover|ipc|bundle)\//)).toEqual([])
    expect(chainsTo(relay, /^packages\/node\//)).toEqual([])
  })
  test('Yjs is not part of it', () => {
    const { outside } = reachOf(relay)
    expect(['yjs', 'y-protocols'].filter((name) => outside.has(name))).toEqual([])
  })
})

describe('protocol is pure', () => {
  test('it reaches yjs, y-protocols, lib0 and zod, and nothing else from outside', () => {
    const { outside, files } = reachOf(product('packages/protocol/src'))
    const allowed = new Set(['yjs', 'y-protocols', 'lib0', 'zod'])
    expect(
      [...outside].filter(([name]) => !allowed.has(name)).map(([name, chain]) => [...chain, name].join(' → ')),
    ).toEqual([])
    expect([...files.keys()].filter((file) => !file.startsWith('packages/protocol/'))).toEqual([])
  })
  test('no core outside protocol reaches Node', () => {
    for (const name of ['node', 'relay']) {
      const { outside } = reachOf(product(`packages/${name}/src/core`))
      expect(
        [...outside].filter(([to]) => to.startsWith('node:')).map(([to, chain]) => [...chain, to].join(' → ')),
      ).toEqual([])
    }
  })
})

describe("the diary's content has no path outward", () => {
  test('nothing in uplink, sync, pairing, import, bundle or snapshots reaches its store', () => {
    for (const part of ['uplink', 'sync', 'pairing', 'import', 'bundle', 'snapshots'])
      expect(chainsTo(product(`packages/node/src/${part}`), /^packages\/node\/src\/diary\//), part).toEqual([])
  })
})

describe('packages depend towards protocol', () => {
  test('sodium and agent reach protocol alone, mcp goes through agent, relay and node never reach each other', () => {
    const allowed: Record<string, RegExp> = {
      sodium: /^packages\/(sodium|protocol)\//,
      relay: /^packages\/(relay|sodium|protocol)\//,
      agent: /^packages\/(agent|protocol)\//,
      mcp: /^packages\/(mcp|agent|protocol)\//,
      node: /^packages\/(node|mcp|agent|sodium|protocol)\//,
    }
    for (const [name, pattern] of Object.entries(allowed)) {
      const strays = [...reachOf(product(`packages/${name}/src`)).files].filter(([file]) => !pattern.test(file))
      expect(strays.map(([, chain]) => chain.join(' → '))).toEqual([])
    }
  })
  test('of the node only the verb that serves MCP loads its server', () => {
    const users = product('packages/node/src').filter((file) =>
      importsOf(readSource(file)).some((specifier) => specifier.startsWith('@sealmesh/mcp/')),
    )
    expect(users.filter((file) => !/^packages\/node\/src\/(mcp\/|cli\/mcp)/.test(file))).toEqual([])
    expect(users.length).toBeGreaterThan(0)
  })
  test('every import between packages names a file that exists', () => {
    const known = new Set(sourceFiles('packages'))
    const broken = [...known].flatMap((file) =>
      importsOf(readSource(file))
        .map((specifier) => ({ specifier, target: targetOf(file, specifier) }))
        .filter(({ target }) => 'file' in target && !known.has(target.file))
        .map(({ specifier }) => `${file} imports ${specifier}`),
    )
    expect(broken).toEqual([])
  })
  test('what product code imports from outside is a dependency of its package', () => {
    for (const name of ['protocol', 'sodium', 'relay', 'agent', 'mcp', 'node']) {
      const manifest = JSON.parse(readSource(`packages/${name}/package.json`)) as Record<string, Record<string, string>>
      const declared = new Set(Object.keys({ ...manifest['dependencies'], ...manifest['optionalDependencies'] }))
      const missing = product(`packages/${name}/src`).flatMap((file) =>
        importsOf(readSource(file))
          .filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:') && specifier !== '?')
          .map((specifier) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/'))
          .filter((dependency) => !declared.has(dependency))
          .map((dependency) => `${file} imports ${dependency}`),
      )
      expect(missing).toEqual([])
    }
  })
})

describe('the walk itself', () => {
  test('sees imports in every form, and none in comments or types', () => {
    const source = [
      "import a from 'a'",
      "import { b,\n  c } from './b.ts'",
      "import type { T } from 'types'",
      "export * from './e.ts'",
      "export type { U } from 'more-types'",
      "import 'side-effect'",
      "const late = await import('late')",
      'const any = await import(name)',
      "// import x from 'comment'",
      "/* import y from 'block' */",
      "const address = 'https://x' // import z from 'trailing'",
    ].join('\n')
    expect(importsOf(source)).toEqual(['a', './b.ts', './e.ts', 'side-effect', 'late', '?'])
  })
  test('follows a chain through several files and a package', () => {
    const files: Record<string, string> = {
      'packages/relay/src/main.ts': "import { a } from './a.ts'",
      'packages/relay/src/a.ts': "export { b } from '@sealmesh/protocol/wire/frame'",
      'packages/protocol/src/wire/frame.ts': "import { open } from '../envelope/open.ts'",
      'packages/protocol/src/envelope/open.ts': "import * as Y from 'yjs'",
    }
    const { files: reached, outside } = reachOf(['packages/relay/src/main.ts'], (path) => files[path] ?? '')
    expect(reached.get('packages/protocol/src/envelope/open.ts')).toHaveLength(4)
    expect([...outside.keys()]).toEqual(['yjs'])
  })
})
