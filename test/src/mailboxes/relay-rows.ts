import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { toHex } from '@sealmesh/protocol/bytes'
import type { MailboxId } from '@sealmesh/protocol/ids'
import { Level } from 'level'

/** All that lies in a relay's database: its rows, and its files with what was overwritten or deleted. */
export interface Found {
  readonly rows: readonly { readonly key: Buffer; readonly value: Buffer }[]
  /** Files of the database, as they are: nothing in them is compressed. */
  readonly files: Buffer
}

/** Call it while the relay is down. */
export async function rowsIn(data: string): Promise<Found> {
  const directory = join(data, 'db')
  const files = Buffer.concat(readdirSync(directory).map((name) => readFileSync(join(directory, name))))
  const db = new Level<Buffer, Buffer>(directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    compression: false,
  })
  await db.open()
  const rows = (await db.iterator().all()).map(([key, value]) => ({ key, value }))
  await db.close()
  return { rows, files }
}

export const holds = (bytes: Buffer, secret: Uint8Array): boolean =>
  bytes.includes(Buffer.from(secret)) || bytes.includes(toHex(secret))

/** Whatever 8 bytes stand anywhere in the values that lie under this mailbox. */
export function windowsOf({ rows }: Found, mailbox: MailboxId): Set<string> {
  const id = Buffer.from(mailbox, 'hex')
  const windows = new Set<string>()
  for (const { key, value } of rows) {
    if (!key.includes(id)) continue
    for (let at = 0; at + 8 <= value.length; at++) windows.add(value.toString('latin1', at, at + 8))
  }
  return windows
}
