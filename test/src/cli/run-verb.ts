import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { runCli } from '@sealmesh/node/cli/run'
import { prepareHome, resolveHome } from '@sealmesh/node/keys/home'
import type { Handlers } from '@sealmesh/node/ipc/door'
import { claimSocketPath } from '@sealmesh/node/keys/socket-path'
import { type FakeNode, fakeNode } from '../ipc/fake-node.ts'
import { temporaryFolder } from '../keys/temporary-home.ts'

export interface Outcome {
  readonly exit: number
  readonly out: string
  readonly err: string
}
export interface RunOptions {
  readonly input?: string | Uint8Array
  /** Stands for a person: stdin and stderr are terminals, and this is typed whenever something is asked. */
  readonly types?: string
  readonly stdoutIsTerminal?: boolean
  readonly env?: NodeJS.ProcessEnv
  readonly signal?: AbortSignal
  /** Called with everything that has been printed so far, whenever there is more. */
  readonly onOutput?: (out: string, err: string) => void
}

/** One command line in this process, with streams of its own. */
export async function runVerb(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const person = options.types !== undefined
  const stdin = Object.assign(new PassThrough(), { isTTY: person })
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  let [out, err] = ['', '']
  stdout.on('data', (text: Buffer) => {
    out += text.toString()
    options.onOutput?.(out, err)
  })
  stderr.on('data', (text: Buffer) => {
    err += text.toString()
    if (options.types !== undefined && text.toString().includes('[y/N]')) stdin.write(`${options.types}\n`)
    options.onOutput?.(out, err)
  })
  if (!person) stdin.end(options.input ?? '')
  const exit = await runCli(argv, {
    terminal: {
      stdin,
      stdout: Object.assign(stdout, { isTTY: options.stdoutIsTerminal === true }),
      stderr: Object.assign(stderr, { isTTY: person }),
      env: options.env ?? {},
    },
    signal: options.signal ?? new AbortController().signal,
  })
  return { exit, out, err }
}

/** A fake node on a home of its own, and the command line on that home. */
export async function nodeWithCli(handlers: Partial<Handlers>) {
  const path = join(await temporaryFolder(), 'home')
  await mkdir(path, { mode: 0o700 })
  const home = resolveHome(path, {})
  await prepareHome(home)
  const node: FakeNode = await fakeNode(handlers, { socketPath: await claimSocketPath(home, {}) })
  const cli = (words: readonly string[], options: RunOptions = {}): Promise<Outcome> =>
    runVerb([...words, '--home', path], options)
  return { home, node, cli }
}
