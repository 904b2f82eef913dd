import { dirname, resolve } from 'node:path'
import { type DataDirectory, dataDirectory } from '../data/data-directory.ts'

/** What every verb takes. */
export interface CommonFlags {
  readonly data?: string
  readonly config?: string
  readonly json?: true
}

export const dataOf = (flags: CommonFlags): DataDirectory => dataDirectory(flags.data, process.env)

/** `isNamed`: its owner has said which, so it must be there. */
export function configPathOf(flags: CommonFlags): { path: string; isNamed: boolean } {
  return flags.config === undefined
    ? { path: dataOf(flags).config, isNamed: false }
    : { path: resolve(flags.config), isNamed: true }
}

export const schemaPathBeside = (config: string): string => resolve(dirname(config), 'config.schema.json')
