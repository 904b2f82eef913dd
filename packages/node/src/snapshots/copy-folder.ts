import { chmod, copyFile, lstat, mkdir, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { PRIVATE_DIRECTORY_MODE, PRIVATE_FILE_MODE, syncDirectory } from '../keys/durable-file.ts'

/** Files and folders, each fsynced: what was copied is there after a power cut. Errors pass through untranslated. */
export async function copyDurably(from: string, to: string): Promise<void> {
  if (!(await lstat(from)).isDirectory()) {
    await copyFile(from, to)
    await chmod(to, PRIVATE_FILE_MODE)
    const file = await open(to, 'r+')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
    return
  }
  await mkdir(to, { mode: PRIVATE_DIRECTORY_MODE })
  for (const name of await readdir(from)) await copyDurably(join(from, name), join(to, name))
  await syncDirectory(to)
}
