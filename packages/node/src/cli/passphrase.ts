import { randomInt } from 'node:crypto'
import { Writable } from 'node:stream'
import { createInterface } from 'node:readline/promises'
import { Failure } from '@sealmesh/protocol/errors'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import { isLocked } from '../keys/key-lock.ts'
import { readInput, readTextFile, withoutLastLineBreak } from './input.ts'
import type { Session } from './session.ts'
import { canAsk } from './terminal.ts'

/** Of 2,048 words each: 88 bits, and every guess costs a second. */
const MADE_WORDS = 8
const CHARACTERS_MIN = 10

/**
 * A passphrase from a file, from standard input (`-`), or from a person: never from the command line, which every user
 * of the machine can read. A new one is asked for twice, or made up when none is given.
 */
export async function passphraseFor(
  session: Session,
  file: string | undefined,
  purpose: 'new' | 'known',
  of: 'recovery kit' | 'keys' = 'recovery kit',
): Promise<string> {
  const given = file === undefined ? await askFor(session, purpose, of) : await readFrom(session, file)
  if (purpose === 'new' && given.length < CHARACTERS_MIN)
    throw new Failure('USAGE', `A passphrase of under ${CHARACTERS_MIN} characters can be guessed.`, {
      next: 'take several words',
    })
  if (given === '') throw new Failure('USAGE', 'No passphrase was given.', { next: 'try again' })
  return given
}

const readFrom = async ({ terminal }: Session, file: string): Promise<string> =>
  withoutLastLineBreak(file === '-' ? await readInput(terminal) : await readTextFile(file))

/** Of the keys of this home; undefined when they have none. */
export async function keysPassphrase(session: Session, file: string | undefined): Promise<string | undefined> {
  if (!(await isLocked(session.home.keys))) return undefined
  if (file === undefined && !canAsk(session.terminal))
    throw new Failure('KEYS_LOCKED', `The keys of ${session.home.path} want their passphrase.`)
  return passphraseFor(session, file, 'known', 'keys')
}

async function askFor(session: Session, purpose: 'new' | 'known', of: 'recovery kit' | 'keys'): Promise<string> {
  if (!canAsk(session.terminal))
    throw new Failure('USAGE', 'A passphrase is wanted, and there is no terminal to ask at.', {
      next: 'add --passphrase-file FILE, or - to read it from standard input',
    })
  if (purpose === 'known') return askHidden(session, `Passphrase of the ${of}:`)
  const first = await askHidden(session, `Passphrase for the ${of} (Enter: one is made up):`)
  if (first === '') {
    const words = Array.from({ length: MADE_WORDS }, () => wordlist[randomInt(wordlist.length)]).join(' ')
    const { output } = session
    output.say(`Write this down; it is shown once: ${output.styledTalk('bold', words)}`)
    return words
  }
  if ((await askHidden(session, 'The same again:')) === first) return first
  throw new Failure('USAGE', 'The two passphrases differ.', { next: 'try again: nothing was written' })
}

/** Nothing of what is typed is shown. */
async function askHidden({ terminal, signal }: Session, question: string): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const reader = createInterface({ input: terminal.stdin, output: silent, terminal: true })
  const interrupted = new AbortController()
  reader.on('SIGINT', () => interrupted.abort())
  terminal.stderr.write(`${question} `)
  try {
    return await reader.question('', { signal: AbortSignal.any([signal, interrupted.signal]) })
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError')
      throw new Failure('USAGE', 'No passphrase was given.', { next: 'try again', cause: error })
    throw error
  } finally {
    terminal.stderr.write('\n')
    reader.close()
  }
}
