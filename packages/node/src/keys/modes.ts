import type { Stats } from 'node:fs'
import { Failure } from '@sealmesh/protocol/errors'

const ANY_OF_OTHERS = 0o077
const WRITE_OF_OTHERS = 0o022

/** Refuses a file or folder that other users of the machine could read or change. Windows has no such modes. */
export function refuseWideModes(path: string, stats: Stats, allowed: 'nothing' | 'reading' = 'nothing'): void {
  if (process.platform === 'win32') return
  const wide = stats.mode & (allowed === 'nothing' ? ANY_OF_OTHERS : WRITE_OF_OTHERS)
  if (wide === 0) return
  const what = stats.isDirectory() ? 'folder' : 'file'
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
  const fix = allowed === 'reading' ? 'go-w' : stats.isDirectory() ? '700' : '600'
  throw new Failure(
    'MODES_TOO_WIDE',
    `Other users of this machine can ${(wide & WRITE_OF_OTHERS) === 0 ? 'read' : 'change'} the ${what} ${path} (mode ${mode}).`,
    { next: `chmod ${fix} ${shellWord(path)}` },
  )
}

/** Refuses a folder that belongs to somebody else, who could swap what is in it. */
export function refuseOtherOwner(path: string, stats: Stats): void {
  const uid = process.getuid?.()
  if (uid === undefined || stats.uid === uid) return
  throw new Failure('HOME_UNUSABLE', `The folder ${path} belongs to another user of this machine.`)
}

/** A path as one word of a command that a person may paste. */
export const shellWord = (path: string): string =>
  /^[\w@%+=:,./~-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`
