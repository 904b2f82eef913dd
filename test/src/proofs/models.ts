import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../architecture/sources.ts'

/** The symbolic models of docs/proofs: each query stands below the verdict that ProVerif has to give of it. */
export const MODELS = join(ROOT, 'docs/proofs')
const SHARED = 'primitives.pvl'
const SOLVE_MS_MAX = 300_000

export type Verdict = 'true' | 'false'

export interface Model {
  readonly file: string
  /** What the model is of. */
  readonly title: string
  readonly expected: readonly Verdict[]
  readonly queries: number
}

export const allModels = (): Model[] =>
  readdirSync(MODELS)
    .filter((file) => file.endsWith('.pv'))
    .sort()
    .map((file) => {
      const source = readFileSync(join(MODELS, file), 'utf8')
      return {
        file,
        title: /^\(\* (.*?) \*\)/.exec(source)?.[1] ?? '',
        expected: [...source.matchAll(/^\(\* expect: (true|false) \*\)\nquery /gm)].map(([, each]) => each as Verdict),
        queries: [...source.matchAll(/^query /gm)].length,
      }
    })

/** ProVerif's version; undefined where it is not installed. */
export function proverifVersion(command: string): string | undefined {
  const { status, stdout } = spawnSync(command, ['-help'], { encoding: 'utf8' })
  return status === 0 ? /Proverif [\d.a-z]+/i.exec(stdout)?.[0] : undefined
}

/** What it says of each query, in order: with `cannot be proved` where it does not know. */
export function verdictsOf(command: string, file: string): string[] {
  const { stdout, error } = spawnSync(command, ['-lib', SHARED, file], {
    cwd: MODELS,
    encoding: 'utf8',
    timeout: SOLVE_MS_MAX,
    maxBuffer: 64 * 1_048_576,
  })
  if (error !== undefined) throw error
  return [...stdout.matchAll(/^RESULT .*? (?:is (true|false)|(cannot be proved))\.$/gm)].map(
    ([, verdict, unknown]) => verdict ?? unknown ?? '',
  )
}
