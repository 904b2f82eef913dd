import { Failure } from '@sealmesh/protocol/errors'
import { expect, test } from 'vitest'
import { openFailure, troubleOf } from './disk-failure.ts'

const level = (code: string, message: string): Error => {
  const cause = Object.assign(new Error(message), code === '' ? {} : { code })
  return Object.assign(new Error('Database failed to open', { cause }), { code: 'LEVEL_DATABASE_NOT_OPEN' })
}

test('every way for a disk to be full is one code', () => {
  for (const words of ['No space left on device', 'Disk quota exceeded', 'File too large', 'ENOSPC: no space left'])
    expect(troubleOf(new Error(`IO error: /data/000003.log: ${words}`))).toBe('DISK_FULL')
  expect(troubleOf(new Error('IO error: /data/000003.log: Input/output error'))).toBe('DISK_FAILED')
})

test('a database that cannot be opened says why', () => {
  expect(openFailure(level('LEVEL_LOCKED', 'lock /data/LOCK: already held')).code).toBe('HOME_IN_USE')
  expect(openFailure(level('', 'Corruption: CURRENT file does not end with newline')).code).toBe('STORE_DAMAGED')
  expect(openFailure(level('', 'IO error: No space left on device')).code).toBe('DISK_FULL')
  expect(openFailure(level('', 'IO error: Permission denied')).code).toBe('DISK_FAILED')
  const own = new Failure('STORE_VERSION', 'another format')
  expect(openFailure(own)).toBe(own)
})
