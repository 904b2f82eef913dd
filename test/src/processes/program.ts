import { type ChildProcess, spawn } from 'node:child_process'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'
import { within } from './wait.ts'

/**
 * A real process of ours: started from what `tsc -b` built, watched by its `--json` lines, stopped or killed. All
 * that it prints is kept, for error messages and for tests that search it.
 */

export const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url))
export const BIN = {
  node: path.join(REPOSITORY, 'packages/node/bin/sealmesh.js'),
  relay: path.join(REPOSITORY, 'packages/relay/bin/sealmesh-relay.js'),
} as const

const START_MS = 30_000
const STOP_MS = 20_000
const TAIL_CHARACTERS = 4_000

export interface ProgramOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Prefix for messages, such as `home`. */
  readonly name: string
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export class Program {
  readonly name: string
  readonly child: ChildProcess
  readonly exited: Promise<Exit>
  readonly #out: Buffer[] = []
  readonly #err: Buffer[] = []
  readonly #objects: Record<string, unknown>[] = []
  readonly #waiters = new Set<() => void>()
  #line = ''
  #exit: Exit | undefined

  constructor(bin: string, args: readonly string[], options: ProgramOptions) {
    this.name = options.name
    this.child = spawn(process.execPath, [bin, ...args], {
      env: { ...process.env, NO_COLOR: '1', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.child.stdout?.on('data', (chunk: Buffer) => this.#read(chunk))
    this.child.stderr?.on('data', (chunk: Buffer) => this.#err.push(chunk))
    this.exited = new Promise((resolve, reject) => {
      this.child.once('error', reject)
      // `close`, not `exit`: by then everything that it printed has been read.
      this.child.once('close', (code, signal) => {
        this.#exit = { code, signal }
        for (const wake of this.#waiters) wake()
        resolve(this.#exit)
      })
    })
  }

  get running(): boolean {
    return this.#exit === undefined
  }

  get stdout(): Buffer {
    return Buffer.concat(this.#out)
  }

  get stderr(): Buffer {
    return Buffer.concat(this.#err)
  }

  /** The first JSON line that `pick` wants; fails at once, with what it printed, when the process ends without it. */
  async line<T>(pick: (object: Record<string, unknown>) => T | undefined, deadlineMs = START_MS): Promise<T> {
    const found = (): T | undefined => {
      for (const object of this.#objects) {
        const picked = pick(object)
        if (picked !== undefined) return picked
      }
      return undefined
    }
    const search = new Promise<T>((resolve, reject) => {
      const look = () => {
        const picked = found()
        if (picked === undefined && this.running) return
        this.#waiters.delete(look)
        if (picked !== undefined) resolve(picked)
        else reject(new Error(`${this.name} ended before it was ready: ${this.describe()}`))
      }
      this.#waiters.add(look)
      look()
    })
    return await within(search, deadlineMs, () => `${this.name} was not ready: ${this.describe()}`)
  }

  async kill(): Promise<void> {
    if (this.running) this.child.kill('SIGKILL')
    await within(this.exited, STOP_MS, () => `${this.name} survived SIGKILL`)
  }

  /** As an owner would: SIGTERM, and it must end by itself. */
  async stop(): Promise<void> {
    if (!this.running) return
    this.child.kill('SIGTERM')
    const { code, signal } = await within(this.exited, STOP_MS, () => `${this.name} did not stop: ${this.describe()}`)
    if (code !== 0) throw new Error(`${this.name} stopped with ${code ?? signal}: ${this.describe()}`)
  }

  describe(): string {
    const exit = this.#exit === undefined ? 'running' : `exit ${this.#exit.code ?? this.#exit.signal}`
    const tail = (bytes: Buffer) => bytes.toString('utf8').slice(-TAIL_CHARACTERS).trim()
    return `${exit}\nstdout: ${tail(this.stdout)}\nstderr: ${tail(this.stderr)}`
  }

  #read(chunk: Buffer): void {
    this.#out.push(chunk)
    const lines = (this.#line + chunk.toString('utf8')).split('\n')
    this.#line = lines.pop() ?? ''
    for (const line of lines) {
      const object = parseObject(line)
      if (object) this.#objects.push(object)
    }
    for (const wake of this.#waiters) wake()
  }
}

/** Runs to its end, and gives exit code and the JSON objects that it printed. */
export async function runProgram(
  bin: string,
  args: readonly string[],
  options: ProgramOptions & { readonly deadlineMs?: number },
): Promise<{ exit: Exit; objects: Record<string, unknown>[]; program: Program }> {
  const program = new Program(bin, args, options)
  const exit = await within(
    program.exited,
    options.deadlineMs ?? START_MS,
    () => `${options.name} did not end: ${program.describe()}`,
  )
  const objects: Record<string, unknown>[] = []
  for (const line of program.stdout.toString('utf8').split('\n')) {
    const object = parseObject(line)
    if (object) objects.push(object)
  }
  return { exit, objects, program }
}

function parseObject(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    return undefined
  }
}
