import { isUtf8 } from 'node:buffer'
import { readFile } from 'node:fs/promises'
import { Failure } from '@sealmesh/protocol/errors'
import type { Terminal } from './terminal.ts'

/** More than any text that the local socket takes in one line; stops `sealmesh set x - < /dev/zero`. */
const INPUT_BYTES_MAX = 64 * 1_048_576

/** All of standard input, as text. */
export async function readInput(terminal: Terminal): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of terminal.stdin) {
    const piece: Buffer = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    bytes += piece.length
    if (bytes > INPUT_BYTES_MAX) throw new Failure('VALUE_TOO_LARGE', 'There are over 64 MiB on standard input.')
    chunks.push(piece)
  }
  return textOf(Buffer.concat(chunks), 'Standard input')
}

/** A file that a person named. */
export async function readTextFile(path: string): Promise<string> {
  let bytes: Buffer
  try {
    bytes = await readFile(path)
  } catch (error) {
    throw new Failure('FILE_NOT_FOUND', `The file ${path} cannot be read.`, { cause: error })
  }
  return textOf(bytes, `The file ${path}`)
}

function textOf(bytes: Buffer, what: string): string {
  if (!isUtf8(bytes))
    throw new Failure('VALUE_INVALID', `${what} is not UTF-8 text.`, { next: 'convert it, or leave it out' })
  return bytes.toString('utf8')
}

/** As `$(…)` does it: the line break that `echo` adds is no part of the value. */
export const withoutLastLineBreak = (text: string): string => text.replace(/\r?\n$/, '')
