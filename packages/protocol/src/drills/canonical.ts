import { compareText, utf8 } from '../bytes.ts'

/** What a report is made of: no fractions, no dates, nothing that two programs could write in two ways. */
export type Plain = null | boolean | number | string | readonly Plain[] | { readonly [key: string]: Plain }

/** The one form of a value as JSON: keys in the order of their UTF-16 units, no spaces (docs/spec/14-drills.md §2). */
export function canonicalText(value: Plain): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map((each: Plain) => canonicalText(each)).join(',')}]`
  const fields = Object.entries(value as { readonly [key: string]: Plain }).toSorted(([a], [b]) => compareText(a, b))
  return `{${fields.map(([key, each]) => `${JSON.stringify(key)}:${canonicalText(each)}`).join(',')}}`
}

export const canonicalBytes = (value: Plain): Uint8Array => utf8(canonicalText(value))
