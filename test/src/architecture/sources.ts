import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository, from `src` and from `dist` alike. */
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const SKIPPED_FOLDERS: ReadonlySet<string> = new Set(['node_modules', 'dist', 'results', 'vectors'])

/** Paths of all TypeScript sources, relative to the repository, with `/`. */
export function sourceFiles(...folders: readonly string[]): string[] {
  return folders.flatMap((folder) => walk(join(ROOT, folder))).map((path) => relative(ROOT, path).replaceAll('\\', '/'))
}

function walk(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.isDirectory()) return SKIPPED_FOLDERS.has(entry.name) ? [] : walk(join(folder, entry.name))
    return /\.[cm]?tsx?$/.test(entry.name) ? [join(folder, entry.name)] : []
  })
}

/** What no package ships: `files` of their package.json leaves it out. */
export const isTest = (path: string): boolean => /(?:\.(?:test|contract)|\/test-[^/]+)\.ts$/.test(path)

/**
 * What a source imports at run time, as written. Type imports leave no trace in what is built; re-exports and
 * `import()` with a literal do. An `import()` of an expression cannot be followed, so it counts as `?`.
 */
export function importsOf(source: string): string[] {
  const code = withoutComments(source)
  const found: string[] = []
  for (const match of code.matchAll(
    /(?:^|[;\n])\s*(?:import|export)\s+(?!type\b)(?:[^'"();]*?\sfrom\s*)?['"]([^'"\n]+)['"]/g,
  ))
    found.push(match[1] ?? '')
  for (const match of code.matchAll(/\b(?:import|require)\s*\(\s*(?:(['"`])([^'"`\n$]+)\1\s*[,)])?/g))
    found.push(match[2] ?? '?')
  return found
}

/** Line comments only where nothing but blanks precedes them: `//` also stands in addresses inside strings. */
const withoutComments = (source: string): string =>
  source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '')

/** What one import leads to: a source of ours, or the name of something from outside. */
export function targetOf(importer: string, specifier: string): { file: string } | { outside: string } {
  if (specifier.startsWith('.'))
    return { file: relative(ROOT, resolve(ROOT, dirname(importer), specifier)).replaceAll('\\', '/') }
  const own = /^@sealmesh\/(protocol|sodium|relay|agent|node)\/(.+)$/.exec(specifier)
  if (own) return { file: `packages/${own[1]}/src/${own[2]}.ts` }
  if (specifier.startsWith('node:')) return { outside: specifier }
  return { outside: specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/') }
}

export interface Reach {
  /** Source file to the chain of files that leads there, itself last. */
  readonly files: ReadonlyMap<string, readonly string[]>
  /** Outside name to the chain that leads there. */
  readonly outside: ReadonlyMap<string, readonly string[]>
}

/** Everything that `starts` import, through any number of files and packages. */
export function reachOf(starts: readonly string[], read: (path: string) => string = readSource): Reach {
  const files = new Map<string, readonly string[]>(starts.map((start) => [start, [start]]))
  const outside = new Map<string, readonly string[]>()
  for (const [file, chain] of files) {
    // A Map visits what is added while it is walked: this is the breadth-first queue.
    for (const specifier of importsOf(read(file))) {
      const target = targetOf(file, specifier)
      if ('outside' in target) outside.set(target.outside, outside.get(target.outside) ?? chain)
      else if (!files.has(target.file)) files.set(target.file, [...chain, target.file])
    }
  }
  return { files, outside }
}

/** Empty for a file that is not there: one test of its own lists those. */
export const readSource = (path: string): string =>
  existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), 'utf8') : ''
