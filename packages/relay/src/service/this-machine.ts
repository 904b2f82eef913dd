import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { Failure } from '@sealmesh/protocol/errors'
import { errnoOf } from '../data/data-directory.ts'
import type { Machine, Outcome } from './machine.ts'

const COMMAND_WAIT_MS = 60_000 // `systemctl` waits for the unit itself, at most TimeoutStopSec.
const OUTPUT_BYTES_MAX = 1_048_576

/**
 * The machine that this runs on; with `root`, the file tree there, of a system that does not run now: files are
 * written below it and no command is run, since it would change this one.
 */
export function thisMachine(root: string | undefined, env: NodeJS.ProcessEnv): Machine {
  const at = (path: string): string => (root === undefined ? path : join(root, path))
  return {
    uid: root === undefined ? (process.getuid?.() ?? -1) : 0,
    configHome: env['XDG_CONFIG_HOME'] ?? join(homedir(), '.config'),
    booted: root === undefined && existsSync('/run/systemd/system'),
    read: async (path) => {
      try {
        return await readFile(at(path), 'utf8')
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return undefined
        throw unwritable(path, error)
      }
    },
    write: async (path, text) => {
      const temporary = `${at(path)}.new`
      try {
        await mkdir(dirname(temporary), { recursive: true, mode: 0o755 })
        await writeFile(temporary, text, { mode: 0o644 })
        await rename(temporary, at(path))
      } catch (error) {
        throw unwritable(path, error)
      }
    },
    remove: async (path) => {
      try {
        await rm(at(path), { force: true })
      } catch (error) {
        throw unwritable(path, error)
      }
    },
    run: (command, args) => (root === undefined ? run(command, args) : NOTHING_RUN),
  }
}

const NOTHING_RUN: Outcome = { status: null, stdout: '', stderr: '' }

function run(command: string, args: readonly string[]): Outcome {
  const options = { encoding: 'utf8', timeout: COMMAND_WAIT_MS, maxBuffer: OUTPUT_BYTES_MAX } as const
  const { status, stdout, stderr } = spawnSync(command, args, options)
  // Null where the command could not be started.
  return { status, stdout: stdout ?? '', stderr: stderr ?? '' }
}

const unwritable = (path: string, cause: unknown): Failure =>
  new Failure('SERVICE_UNUSABLE', `${path} cannot be used (${errnoOf(cause) ?? 'unknown error'}).`, { cause })
