import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { lockHome } from '@sealmesh/node/keys/home-lock'
import { expect, test } from 'vitest'
import { temporaryHome } from './temporary-home.ts'

const HOLDER = fileURLToPath(new URL('../../dist/keys/lock-holder.js', import.meta.url))

/** A process that takes the lock of a home and keeps it. */
async function holderOf(path: string) {
  const child = fork(HOLDER, [path])
  const [message] = (await once(child, 'message')) as [string]
  return { child, message }
}

test('the second of two is told who holds the home, and gets it when that one lets go', async () => {
  const home = await temporaryHome()
  const first = await lockHome(home)
  expect(await readFile(home.pid, 'utf8')).toBe(`${process.pid}\n`)
  await expect(lockHome(home)).rejects.toMatchObject({
    code: 'HOME_IN_USE',
    message: expect.stringContaining(String(process.pid)),
  })
  await first.release()
  expect(await readdir(home.run)).not.toContain('node.pid')
  await (await lockHome(home)).release()
})

test('another process that holds it is named, and after kill -9 nothing is in the way', async () => {
  const home = await temporaryHome()
  const { child, message } = await holderOf(home.path)
  expect(message).toBe('locked')
  await expect(lockHome(home)).rejects.toMatchObject({
    code: 'HOME_IN_USE',
    message: expect.stringContaining(String(child.pid)),
  })
  child.kill('SIGKILL')
  await once(child, 'exit')
  await (await lockHome(home)).release()
})

test('of many that start at once exactly one gets it', async () => {
  const home = await temporaryHome()
  const all = await Promise.all(Array.from({ length: 6 }, () => holderOf(home.path)))
  try {
    expect(all.map(({ message }) => message).toSorted()).toEqual([...Array(5).fill('HOME_IN_USE'), 'locked'])
  } finally {
    for (const { child } of all) child.kill('SIGKILL')
  }
})

test('a pid file of a dead or foreign process proves nothing', async () => {
  const home = await temporaryHome()
  await writeFile(home.pid, '1\n')
  const lock = await lockHome(home)
  expect(await readFile(home.pid, 'utf8')).toBe(`${process.pid}\n`)
  await lock.release()
})

test('a lock whose files a power cut damaged is mended, and still excludes', async () => {
  const home = await temporaryHome()
  await (await lockHome(home)).release()
  for (const name of await readdir(home.lock))
    if (/^(CURRENT|MANIFEST)/.test(name)) await truncate(join(home.lock, name), 3)
  const lock = await lockHome(home)
  await expect(lockHome(home)).rejects.toMatchObject({ code: 'HOME_IN_USE' })
  await lock.release()
})
