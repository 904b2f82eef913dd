import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers } from '../processes/pair.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'
import { PACKAGES, PACKING_MS, packAll, unpack } from './packed.ts'

/** Tarballs are all that another machine gets: what they lack is missing there. */

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-tarballs-'))
const tarballs = path.join(directory, 'tarballs')
const contents = new Map<string, { root: string; files: string[] }>()
const started: { kill(): Promise<void> }[] = []

beforeAll(() => {
  const names = packAll(tarballs, { bundle: false })
  expect(names).toEqual(PACKAGES.map((name) => expect.stringMatching(`^sealmesh-${name}-.+\\.tgz$`)))
  for (const [at, name] of PACKAGES.entries()) {
    const into = path.join(directory, name)
    fs.mkdirSync(into)
    unpack(path.join(tarballs, names[at] ?? ''), into)
    const root = path.join(into, 'package')
    contents.set(name, { root, files: fs.readdirSync(root, { recursive: true, encoding: 'utf8' }) })
  }
}, PACKING_MS)

afterAll(async () => {
  for (const process of started.toReversed()) await process.kill()
  fs.rmSync(directory, { recursive: true, force: true })
})

const packed = (name: string) => contents.get(name) ?? { root: '', files: [] }

test.each(PACKAGES)('the tarball of %s holds its licence, a page, its programs, and nothing of ours alone', (name) => {
  const { root, files } = packed(name)
  expect(files).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json', 'dist']))
  expect(files.filter((file) => /\.test\.|\.map$|tsbuildinfo|^src|(^|\/)test-|fixture\./.test(file))).toEqual([])
  const manifest = fs.readFileSync(path.join(root, 'package.json'), 'utf8')
  expect(manifest).not.toMatch(/workspace:|file:|link:/)
  const { engines, bin = {}, dependencies } = JSON.parse(manifest) as Manifest
  expect(engines).toEqual({ node: '>=20.19' })
  for (const program of Object.values(bin)) expect(files).toContain(program)
  for (const [dependency, range] of Object.entries(dependencies))
    if (dependency.startsWith('@sealmesh/')) expect(range, dependency).toMatch(/^\d+\.\d+\.\d+$/)
})

interface Manifest {
  readonly engines: Record<string, string>
  readonly bin?: Record<string, string>
  readonly dependencies: Record<string, string>
}

test.each(PACKAGES)('whatever a file of %s imports is in a tarball too', (name) => {
  const { root, files } = packed(name)
  const missing: string[] = []
  let seen = 0
  for (const file of files.filter((each) => each.endsWith('.js'))) {
    for (const target of importsOf(fs.readFileSync(path.join(root, file), 'utf8'))) {
      seen++
      const [, other = '', entry = ''] = /^@sealmesh\/([^/]+)\/(.+)$/.exec(target) ?? []
      const at =
        other === ''
          ? path.join(root, path.dirname(file), target)
          : path.join(packed(other).root, 'dist', `${entry}.js`)
      if (!fs.existsSync(at)) missing.push(`${file}: ${target}`)
    }
  }
  expect(missing).toEqual([])
  expect(seen).toBeGreaterThan(2)
})

/** Of the compiler's output, which writes each import on one line. */
function importsOf(source: string): string[] {
  const all = source.matchAll(/(?:from|import|import\()\s*'((?:\.{1,2}\/|@sealmesh\/)[^']+)'/g)
  return [...all].map(([, target = '']) => target)
}

test('from the tarballs alone, in an empty prefix and without install scripts, two homes and a relay get in step', async () => {
  const prefix = path.join(directory, 'prefix')
  fs.mkdirSync(prefix)
  const files = fs.readdirSync(tarballs).filter((file) => file.endsWith('.tgz'))
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--cache', path.join(directory, 'cache')]
  const absolute = files.map((file) => path.join(tarballs, file))
  execFileSync('npm', ['install', '--prefix', prefix, ...quiet, ...absolute], { cwd: prefix, stdio: 'pipe' })
  const bin = (name: string): string => path.join(prefix, 'node_modules/.bin', name)

  const relay = await RelayProcess.start({ data: path.join(directory, 'relay-data'), bin: bin('sealmesh-relay') })
  started.push(relay)
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  const at = { home: path.join(directory, 'home'), name: 'home', bin: bin('sealmesh') }
  const home = await NodeProcess.start({ ...at, relay: relay.address, ...claim })
  started.push(home)
  const office = await pairNodes(home, { ...at, home: path.join(directory, 'office'), name: 'office' })
  started.push(office)

  await shareLayers(home, 'home', ['semantic'], 'office')
  const door = await home.door()
  await door.call('set', { umr: 'home.semantic.deploy-day', value: '"Tuesday"' })
  const there = await office.door()
  const { item } = await until('office has it', async () => {
    const answer = await there.call('get', { umr: 'home.semantic.deploy-day' })
    return answer.item === null ? undefined : answer
  })
  expect(item).toMatchObject({ value: '"Tuesday"' })
  await office.stop()
  await home.stop()
  await relay.stop()
})
