import type { Brand } from '../ids.ts'

/** The first eight bytes of an id, in hexadecimal: enough inside one mesh, where who asks knows all there are. */
export type Prefix = Brand<string, 'Prefix'>

export const PREFIX_BYTES = 8

export const prefixOf = (id: string): Prefix => id.slice(0, 2 * PREFIX_BYTES) as Prefix

/** Undefined where none of them begins so, and where two do: what is ambiguous is not known. */
export function resolvePrefix<Id extends string>(prefix: Prefix, ids: Iterable<Id>): Id | undefined {
  let found: Id | undefined
  for (const id of ids) {
    if (!id.startsWith(prefix)) continue
    if (found !== undefined && found !== id) return undefined
    found = id
  }
  return found
}
