import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { PRIVATE_FILE_MODE } from '../keys/durable-file.ts'
import type { Session } from './session.ts'

/**
 * Lets a person edit a text in $VISUAL or $EDITOR. The file lies in the home, which only its owner reads, and not in
 * the temporary folder that all users share.
 */
export async function editInEditor(session: Session, text: string, name = 'text.md'): Promise<string> {
  const { env } = session.terminal
  const editor = env['VISUAL'] || env['EDITOR'] || 'vi'
  const folder = await mkdtemp(join(session.home.run, 'edit-'))
  const path = join(folder, name)
  try {
    await writeFile(path, text, { mode: PRIVATE_FILE_MODE })
    // Through a shell, since people write `code --wait` there; the path comes as an argument of its own.
    const exit = await exitOf(spawn('/bin/sh', ['-c', `${editor} "$1"`, 'sh', path], { stdio: 'inherit', env }))
    if (exit !== 0)
      throw new Failure('USAGE', `The editor ended with exit code ${exit}, and nothing was changed.`, {
        next: 'set EDITOR, or pass --file FILE',
      })
    return await readFile(path, 'utf8')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const exitOf = (child: ReturnType<typeof spawn>): Promise<number | null> =>
  new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', resolve)
  })
