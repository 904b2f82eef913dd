import { Failure } from '@sealmesh/protocol/errors'

export type DiskTrouble = 'DISK_FULL' | 'DISK_FAILED'

/** LevelDB passes the system's words on, not its codes. EFBIG and quotas are other ways for a disk to be full. */
const FULL = /no space left|disk quota exceeded|file too large|ENOSPC|EDQUOT|EFBIG/i

export function troubleOf(error: unknown): DiskTrouble {
  for (const text of words(error)) if (FULL.test(text)) return 'DISK_FULL'
  return 'DISK_FAILED'
}

/** Why the database could not be opened, as a failure that says what to do. */
export function openFailure(error: unknown): Failure {
  if (error instanceof Failure) return error
  const codes = codesOf(error)
  if (codes.includes('LEVEL_LOCKED'))
    return new Failure('HOME_IN_USE', 'Another relay is using this data directory.', {
      cause: error,
      next: 'stop the other relay, or use another directory: --data DIR',
    })
  if (codes.includes('LEVEL_CORRUPTION'))
    return new Failure('STORE_DAMAGED', 'The relay’s database is damaged.', {
      cause: error,
      next: 'move the db folder of the data directory away: nodes send again what was waiting in it',
    })
  if (troubleOf(error) === 'DISK_FULL')
    return new Failure('DISK_FULL', 'The disk of the data directory is full.', {
      cause: error,
      next: 'free some space and start the relay again',
    })
  return new Failure('DISK_FAILED', 'The data directory cannot be opened or written.', { cause: error })
}

function codesOf(error: unknown): string[] {
  const codes: string[] = []
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') codes.push(at.code)
    if (/corruption/i.test(at.message)) codes.push('LEVEL_CORRUPTION')
  }
  return codes
}

function words(error: unknown): string[] {
  const found: string[] = []
  for (let at: unknown = error; at instanceof Error; at = at.cause) found.push(at.message)
  return found
}
