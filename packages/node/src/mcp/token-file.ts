import { readFile, rm } from 'node:fs/promises'
import * as path from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import type { DoorClient } from '../ipc/client.ts'
import { diskFailure, errnoOf } from '../keys/disk-failure.ts'
import { makePrivateDirectory, writeDurably } from '../keys/durable-file.ts'
import type { Home } from '../keys/home.ts'

/** What is longer is none. */
const TOKEN_MAX = 200

/** Tokens of agents that other programs on this machine start with: `HOME/tokens/AGENT`, mode 0600. */
export const tokenFile = (home: Home, agent: string): string => path.join(home.path, 'tokens', agent)

/** Makes the token and the file where there is none that lets anybody in. Throws AGENT_TOKEN_EXISTS when somebody else has it. */
export async function ensureTokenFile(home: Home, agent: string, door: Pick<DoorClient, 'call'>): Promise<string> {
  const file = tokenFile(home, agent)
  const had = await readIfThere(file)
  if (had !== undefined && (await isCurrent(agent, had, door))) return file
  const { token } = await door.call('agents.token', { name: agent, action: 'make' })
  if (token === null) throw new Failure('AGENT_TOKEN_INVALID', `${agent} got no token.`)
  try {
    await makePrivateDirectory(path.dirname(file))
    await writeDurably(file, `${token}\n`)
  } catch (error) {
    // Nobody else has seen it, and nobody can ask for it again.
    await door.call('agents.token', { name: agent, action: 'revoke' })
    throw diskFailure(error, `writing ${file}`)
  }
  return file
}

/** With its token, unless the agent has got another since: that one is somebody else's. */
export async function dropTokenFile(home: Home, agent: string, door: Pick<DoorClient, 'call'>): Promise<void> {
  const file = tokenFile(home, agent)
  const token = await readIfThere(file)
  if (token === undefined) return
  if (await isCurrent(agent, token, door))
    await door.call('agents.token', { name: agent, action: 'revoke', only: token })
  await rm(file, { force: true })
}

async function isCurrent(agent: string, token: string, door: Pick<DoorClient, 'call'>): Promise<boolean> {
  try {
    await door.call('agents.token', { name: agent, action: 'check', only: token.slice(0, TOKEN_MAX) })
    return true
  } catch (error) {
    if (error instanceof Failure && error.code === 'AGENT_TOKEN_INVALID') return false
    throw error
  }
}

export async function readToken(file: string): Promise<string> {
  const token = await readIfThere(file)
  if (token !== undefined) return token
  throw new Failure('FILE_NOT_FOUND', `There is no token in ${file}.`, {
    next: 'sealmesh agents token AGENT makes one',
  })
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw diskFailure(error, `reading ${file}`)
  }
}
