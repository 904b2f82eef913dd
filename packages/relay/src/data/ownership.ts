import { lchown, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * What root puts into a relay's directory belongs to the relay's user, or it could not read it: a unit runs under one of
 * its own. Does nothing for anybody else, who owns what they write.
 */
export async function giveToOwnerOf(directory: string, ...paths: readonly string[]): Promise<void> {
  if (process.getuid?.() !== 0) return
  const { uid, gid } = await stat(directory)
  if (uid === 0) return
  for (const path of paths) await give(path, uid, gid)
}

async function give(path: string, uid: number, gid: number): Promise<void> {
  await lchown(path, uid, gid)
  const names = await readdir(path).catch(() => []) // A file.
  for (const name of names) await give(join(path, name), uid, gid)
}
