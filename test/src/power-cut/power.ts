import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * A directory on a disk whose power can be cut. Processes that are started with `environment` write to it through
 * test/power-cut/shim.c, which keeps aside what was made durable; `cut` puts that in the directory's place.
 */

const SHIM_SOURCE = fileURLToPath(new URL('../../power-cut/shim.c', import.meta.url))

/** The compiler's name, or undefined: the only reason for which a power-cut test may be skipped. */
export function findCompiler(): string | undefined {
  if (process.platform !== 'linux') return undefined
  return ['cc', 'gcc', 'clang'].find((name) => {
    try {
      execFileSync(name, ['--version'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })
}

/** Says so on stderr, where nobody misses it, and returns whether the tests must be skipped. */
export function mustSkipPowerCuts(): boolean {
  if (findCompiler()) return false
  process.stderr.write('\n*** POWER-CUT TESTS SKIPPED: no C compiler (cc, gcc or clang) on this machine ***\n\n')
  return true
}

/** Compiles the shim into `directory` and returns its path. */
export function buildShim(directory: string): string {
  const compiler = findCompiler()
  if (!compiler) throw new Error('no C compiler')
  const library = path.join(directory, 'power-cut.so')
  const flags = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC']
  execFileSync(compiler, [...flags, '-o', library, SHIM_SOURCE, '-ldl', '-lpthread'], { stdio: 'pipe' })
  return library
}

/** How generous the file system is with names: shim.c says what each keeps. */
export type NamesModel = 'ordered' | 'directory'

export interface PoweredDisk {
  /** By this path, and no other, the processes must name it. */
  readonly root: string
  readonly environment: Readonly<Record<string, string>>
  /**
   * Call when every process that uses the directory is dead. With `dice`, each file keeps a random part of the tail
   * that was written and never synced, as a disk may; without, it keeps none. Returns what was undone.
   */
  cut(dice?: () => number): CutReport
  /** How many processes loaded the shim since the disk was made or last cut: 0 means that nothing was watched. */
  watched(): number
}

export interface CutReport {
  /** Bytes of files that exist before and after, or before only. */
  readonly bytesLost: number
  /** Names that were there and are gone, and names that came back. */
  readonly namesLost: string[]
  readonly namesRestored: string[]
}

/** What `root` holds now is taken as durable. `side` must lie elsewhere on the same machine. */
export function powerDisk(root: string, side: string, library: string, names: NamesModel = 'ordered'): PoweredDisk {
  fs.mkdirSync(root, { recursive: true, mode: 0o700 })
  fs.mkdirSync(side, { recursive: true })
  // The shim compares with what the kernel calls the files.
  const real = { root: fs.realpathSync(root), side: fs.realpathSync(side) }
  const tree = path.join(real.side, 'tree')
  copyTree(real.root, tree)

  return {
    root: real.root,
    environment: {
      LD_PRELOAD: library,
      SEALMESH_POWER_ROOT: real.root,
      SEALMESH_POWER_SIDE: real.side,
      SEALMESH_POWER_NAMES: names,
      // What goes through io_uring passes by every C function.
      UV_USE_IO_URING: '0',
    },
    cut(dice) {
      const before = listFiles(real.root)
      if (dice) keepTails(before, real.root, tree, dice)
      const after = listFiles(tree)
      fs.rmSync(real.root, { recursive: true })
      copyTree(tree, real.root)
      for (const name of fs.readdirSync(real.side))
        if (name !== 'tree') fs.rmSync(path.join(real.side, name), { recursive: true })
      let bytesLost = 0
      for (const [name, bytes] of before) bytesLost += Math.max(0, bytes - (after.get(name) ?? 0))
      return {
        bytesLost,
        namesLost: [...before.keys()].filter((name) => !after.has(name)),
        namesRestored: [...after.keys()].filter((name) => !before.has(name)),
      }
    },
    watched: () => fs.readdirSync(real.side).filter((name) => name.startsWith('loaded.')).length,
  }
}

/** Regular files only, each with its mode; breaks the hard links through which the shim shares contents. */
function copyTree(from: string, to: string): void {
  fs.mkdirSync(to, { recursive: true })
  fs.chmodSync(to, fs.statSync(from).mode & 0o7777)
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)]
    if (entry.isDirectory()) copyTree(source, target)
    if (!entry.isFile()) continue
    fs.copyFileSync(source, target)
    fs.chmodSync(target, fs.statSync(source).mode & 0o7777)
  }
}

function listFiles(root: string, below = '', found = new Map<string, number>()): Map<string, number> {
  for (const entry of fs.readdirSync(path.join(root, below), { withFileTypes: true })) {
    const name = path.join(below, entry.name)
    if (entry.isDirectory()) listFiles(root, name, found)
    if (entry.isFile()) found.set(name, fs.statSync(path.join(root, name)).size)
  }
  return found
}

function keepTails(live: ReadonlyMap<string, number>, root: string, tree: string, dice: () => number): void {
  for (const name of [...live.keys()].sort()) {
    const durable = path.join(tree, name)
    if (!fs.existsSync(durable)) continue
    const [written, kept] = [fs.readFileSync(path.join(root, name)), fs.readFileSync(durable)]
    // Only a file that grew: of one that was replaced, the disk has the old contents or the new, never a mixture.
    if (written.length <= kept.length || !written.subarray(0, kept.length).equals(kept)) continue
    fs.writeFileSync(durable, written.subarray(0, kept.length + Math.floor(dice() * (written.length - kept.length))))
  }
}
