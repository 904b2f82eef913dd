import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'

/** With modes: `fs.cpSync` forgets those of folders from Node 22 on, and a node refuses a home that others may read. */
export function copyFolder(from: string, to: string): void {
  fs.mkdirSync(to, { recursive: true })
  execFileSync('cp', ['-a', `${from}/.`, to])
}
