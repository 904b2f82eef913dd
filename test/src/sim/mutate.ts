import { register } from 'node:module'
import type { Mutant } from './mutants.ts'

/** Runs in the loader's own thread, and so has nothing but what it is given. */
const HOOKS = `
let patch
export function initialize(given) { patch = given }
export async function load(url, context, next) {
  const loaded = await next(url, context)
  if (!url.endsWith(patch.file)) return loaded
  const source = String(loaded.source)
  if (source.split(patch.from).length !== 2) throw new Error('no single place for this mutant in ' + patch.file)
  return { ...loaded, source: source.replace(patch.from, () => patch.to) }
}`

/** Call it before anything of the product is imported: the patched file is what everybody then gets. */
export function mutate({ patch }: Mutant): void {
  if (patch === undefined) return
  const data = { file: patch.file, from: patch.from, to: patch.to }
  register(`data:text/javascript,${encodeURIComponent(HOOKS)}`, { data })
}
