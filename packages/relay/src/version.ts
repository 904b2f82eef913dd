import { readFileSync } from 'node:fs'

/** As package.json has it, from the source tree and from the built one. */
export const RELAY_VERSION: string = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version
