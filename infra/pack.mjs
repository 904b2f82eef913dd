/**
 * Makes what a machine without this repository installs from: a tarball of each package, as `npm publish` would send it,
 * and with --bundle the relay together with everything that it needs, for servers that have Node and neither npm nor a
 * registry, beside the script that installs it. Run after `tsc -b`: pnpm pack-all [--to DIR] [--bundle]
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const PACKAGES = ['protocol', 'sodium', 'relay', 'agent', 'mcp', 'node']
/** What the relay is made of: its bundle has no use for the node. */
const RELAY_PACKAGES = ['protocol', 'sodium', 'relay']

/** Other systems' binaries, another runtime's, and what only compilers and debuggers read. */
const FOREIGN = /(^|\/)prebuilds\/(?!linux-)[^/]+$|\.(bare|map|d\.[cm]?ts)$/

const { values } = parseArgs({ options: { to: { type: 'string' }, bundle: { type: 'boolean', default: false } } })
const to = resolve(values.to ?? join(ROOT, 'dist'))
mkdirSync(to, { recursive: true })
for (const name of PACKAGES) refuseStale(name)
pnpm(['--recursive', ...PACKAGES.map((name) => `--filter=@sealmesh/${name}`), 'pack', '--pack-destination', to])
const made = PACKAGES.map((name) => tarballOf(name))
if (values.bundle) {
  made.push(bundle(), 'install.sh')
  copyFileSync(join(ROOT, 'infra/install.sh'), join(to, 'install.sh'))
}
const sums = made.map((name) => `${sha256(join(to, name))}  ${name}\n`)
writeFileSync(join(to, 'SHA256SUMS'), sums.join(''))
process.stdout.write(sums.join(''))

function tarballOf(name) {
  return `sealmesh-${name}-${versionOf(name)}.tgz`
}

function versionOf(name) {
  return JSON.parse(readFileSync(join(ROOT, 'packages', name, 'package.json'), 'utf8')).version
}

/** The compiler leaves what it made of sources that are gone, and it would be packed with the rest. */
function refuseStale(name) {
  const [dist, source] = [join(ROOT, 'packages', name, 'dist'), join(ROOT, 'packages', name, 'src')]
  if (!existsSync(dist)) fail(`packages/${name} is not built`, 'npx -y pnpm@10 build')
  const built = readdirSync(dist, { recursive: true }).filter((path) => path.endsWith('.js'))
  const stale = built.filter((path) => !existsSync(join(source, path.replace(/\.js$/, '.ts'))))
  if (stale.length > 0)
    fail(`packages/${name}/dist/${String(stale[0])} has no source any more`, 'rm -r packages/*/dist, build')
}

/** The relay's tree as npm lays it out, with the versions that the lockfile names, as `node_modules` in a tarball. */
function bundle() {
  const version = versionOf('relay')
  const file = `sealmesh-relay-${version}-linux.tar.gz`
  const work = mkdtempSync(join(tmpdir(), 'sealmesh-bundle-'))
  try {
    const dependencies = Object.fromEntries(
      RELAY_PACKAGES.map((name) => [`@sealmesh/${name}`, `file:${join(to, tarballOf(name))}`]),
    )
    const manifest = { name: 'sealmesh-relay-bundle', version, private: true, dependencies, overrides: locked() }
    writeFileSync(join(work, 'package.json'), JSON.stringify(manifest))
    run('npm', ['install', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'], work)
    const modules = join(work, 'node_modules')
    for (const path of readdirSync(modules, { recursive: true }))
      if (FOREIGN.test(path)) rmSync(join(modules, path), { recursive: true, force: true })
    // Names the machine that it was made on; nobody reads it here.
    rmSync(join(modules, '.package-lock.json'), { force: true })
    const same = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--mode=u=rwX,go=rX']
    run('tar', ['-czf', join(to, file), ...same, 'node_modules'], work)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return file
}

/** Names of which the lockfile has one version only; of the rest npm takes what their dependents ask for. */
function locked() {
  const text = readFileSync(join(ROOT, 'pnpm-lock.yaml'), 'utf8')
  const packages = text.slice(text.indexOf('\npackages:\n'), text.indexOf('\nsnapshots:\n'))
  const versions = new Map()
  for (const [, name, version] of packages.matchAll(/^ {2}'?(@?[^@'\s]+)@([^:'(]+)'?:$/gm))
    versions.set(name, [...(versions.get(name) ?? []), version])
  return Object.fromEntries([...versions].filter(([, all]) => all.length === 1).map(([name, [one]]) => [name, one]))
}

/** The pnpm that runs this, or the one that the repository asks for. */
function pnpm(args) {
  const running = process.env.npm_execpath ?? ''
  if (/pnpm[^/\\]*$/.test(running)) run(process.execPath, [running, ...args], ROOT)
  else run('npx', ['-y', 'pnpm@10', ...args], ROOT)
}

function run(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8' })
  if (status !== 0) fail(`${command} ${args[0]} failed: ${error ?? `${stdout}${stderr}`.slice(-2_000)}`, 'see above')
}

function sha256(path) {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

function fail(what, next) {
  process.stderr.write(`pack: ${what}\n  next: ${next}\n`)
  process.exit(1)
}
