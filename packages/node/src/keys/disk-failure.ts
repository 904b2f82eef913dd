import { Failure } from '@sealmesh/protocol/errors'

/** What a failed call to the file system means to a person. The one place where errno values are read. */
export function diskFailure(error: unknown, doing: string): Failure {
  if (error instanceof Failure) return error
  switch (errnoOf(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new Failure('DISK_FULL', `The disk is full: ${doing}.`, { cause: error })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new Failure('HOME_UNUSABLE', `This user has not the right: ${doing}.`, { cause: error })
    case 'ENOTDIR':
    case 'EEXIST':
    case 'ENAMETOOLONG':
    case 'ELOOP':
    case 'ENOENT':
      return new Failure('HOME_UNUSABLE', `The path does not lead to a usable folder: ${doing}.`, { cause: error })
    default:
      return new Failure('DISK_FAILED', `The disk refused (${errnoOf(error) ?? 'unknown error'}): ${doing}.`, {
        cause: error,
      })
  }
}

export function errnoOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : undefined
}
