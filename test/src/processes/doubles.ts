import { register } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'

/**
 * Puts a test's own module in the place of one that a real process imports. The process is started with the
 * environment below; this file is then its preload, and the double is what its imports of `specifier` give.
 */

const VARIABLE = 'SEALMESH_TEST_DOUBLES'

/** `file` is a built module of this package; whatever it imports under the same name is the real one. */
export function withDoubles(doubles: Readonly<Record<string, URL>>): Record<string, string> {
  const built = Object.entries(doubles).map(([specifier, url]) => [specifier, builtOf(url)])
  return {
    NODE_OPTIONS: `--no-warnings --import=${builtOf(new URL('./doubles-preload.ts', import.meta.url))}`,
    [VARIABLE]: JSON.stringify(Object.fromEntries(built)),
  }
}

/** Called once in the process that is to be deceived. */
export function registerDoubles(): void {
  const doubles = process.env[VARIABLE]
  if (doubles === undefined) throw new Error(`${VARIABLE} is not set`)
  register('./doubles-hooks.js', import.meta.url, { data: JSON.parse(doubles) })
}

/** The module that `tsc -b` made of a source beside this one, wherever this one runs from. */
export function builtOf(url: URL): string {
  const file = fileURLToPath(url)
    .replace(/\.ts$/, '.js')
    .replace(/\/test\/src\//, '/test/dist/')
  return pathToFileURL(file).href
}
