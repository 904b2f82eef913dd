import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Home, prepareHome, resolveHome } from '@sealmesh/node/keys/home'
import { onTestFinished } from 'vitest'

/** A folder that is removed after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sm-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export async function temporaryHome(): Promise<Home> {
  const home = resolveHome(join(await temporaryFolder(), 'home'), {})
  await prepareHome(home)
  return home
}
