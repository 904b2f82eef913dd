import { readFile } from 'node:fs/promises'
import * as path from 'node:path'
import { CLIENTS } from '@sealmesh/mcp/install/clients'
import { Undo } from '@sealmesh/mcp/install/undo'
import { Failure } from '@sealmesh/protocol/errors'
import { z } from 'zod'
import { diskFailure, errnoOf } from '../keys/disk-failure.ts'
import { writeDurably } from '../keys/durable-file.ts'
import type { Home } from '../keys/home.ts'

/** What `mcp install` has written where, so that `mcp uninstall` can take back just that: `HOME/mcp-installs.json`. */

const Install = z.object({
  client: z.enum(CLIENTS),
  file: z.string(),
  name: z.string(),
  agent: z.string(),
  at: z.string(),
  undo: Undo,
})
export type Install = z.infer<typeof Install>
const Book = z.object({ version: z.literal(1), installs: z.array(Install) })

const bookPath = (home: Home): string => path.join(home.path, 'mcp-installs.json')

export async function readInstalls(home: Home): Promise<Install[]> {
  let text: string
  try {
    text = await readFile(bookPath(home), 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw diskFailure(error, 'reading what was installed')
  }
  const book = Book.safeParse(parsed(text))
  if (book.success) return book.data.installs
  throw new Failure('CLIENT_CONFIG_INVALID', `${bookPath(home)} is damaged.`, {
    next: 'remove it, and take the servers out of your clients by hand',
  })
}

export async function writeInstalls(home: Home, installs: readonly Install[]): Promise<void> {
  try {
    await writeDurably(bookPath(home), `${JSON.stringify({ version: 1, installs }, null, 2)}\n`)
  } catch (error) {
    throw diskFailure(error, 'writing down what was installed')
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
