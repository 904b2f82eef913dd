import { register } from 'node:module'
import type { Mutant } from './mutant.ts'

/** Runs in the loader's own thread, and so has nothing but what it is given. */
const HOOKS = `
let patches
export function initialize(given) { patches = given }
export async function load(url, context, next) {
  const loaded = await next(url, context)
  const here = patches.filter(({ file }) => url.endsWith(file))
  if (here.length === 0) return loaded
  let source = String(loaded.source)
  for (const { file, from, to } of here) {
    if (source.split(from).length !== 2) throw new Error('no single place for this mutant in ' + file)
    source = source.replace(from, () => to)
  }
  return { ...loaded, source }
}`

/** Call it before anything of the product is imported: the patched files are what everybody then gets. */
export function mutate({ patches }: Mutant): void {
  if (patches === undefined) return
  register(`data:text/javascript,${encodeURIComponent(HOOKS)}`, { data: patches })
}
