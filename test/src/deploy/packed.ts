import { execFileSync } from 'node:child_process'
import * as path from 'node:path'
import { REPOSITORY } from '../processes/program.ts'

/** What `pnpm pack-all` makes of this build, in a directory of the test's. */

export const PACKAGES = ['protocol', 'sodium', 'relay', 'agent', 'mcp', 'node'] as const

/** Catches only what hangs: pnpm, npm and the registry are asked, on a machine that may be busy. */
export const PACKING_MS = 300_000

/** With `bundle`, the relay's own tree as well, for which npm asks the registry. Gives the names of the files. */
export function packAll(to: string, { bundle }: { bundle: boolean }): string[] {
  const args = [path.join(REPOSITORY, 'infra/pack.mjs'), '--to', to, ...(bundle ? ['--bundle'] : [])]
  const sums = execFileSync(process.execPath, args, { encoding: 'utf8' })
  return sums
    .trim()
    .split('\n')
    .map((line) => line.slice(line.indexOf('  ') + 2))
}

export const unpack = (tarball: string, into: string): Buffer => execFileSync('tar', ['-xzf', tarball, '-C', into])
