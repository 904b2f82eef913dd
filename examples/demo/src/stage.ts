import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Progress } from './narrator.ts'

/** A step that did not go as it says, with all that helps to see why. */
export class DemoFailure extends Error {}

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const OUTPUT_CHARACTERS_MAX = 200_000 // The tail is what explains a failure.
const POLL_MS = 60
const STOP_WAIT_MS = 5_000

/**
 * Owns all that must not outlive the demo: the temporary folder and every process started. `clear` runs on each way
 * out, from the end of the play to an exception in a signal handler.
 */
export class Stage {
  readonly folder: string
  readonly #running = new Set<Actor>()
  /** Processes that ended although nobody told them to. */
  readonly #fallen: Actor[] = []
  #cleared = false

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'sealmesh-demo-'))
    // Also reached by process.exit and by an exception that nobody caught: must not wait for anything.
    process.once('exit', () => this.#clearNow())
  }

  /** A folder of its own on the stage, private as a real home is. */
  makeFolder(name: string): string {
    const path = join(this.folder, name)
    mkdirSync(path, { recursive: true, mode: 0o700 })
    return path
  }

  /** A process that goes on until it is stopped, or a command that is awaited elsewhere. `more`: of its environment. */
  start(title: string, script: string, args: readonly string[], more: NodeJS.ProcessEnv = {}): Actor {
    const actor = new Actor(title, script, args, { ...this.#environment(), ...more })
    this.#running.add(actor)
    void actor.ended.then(() => {
      this.#running.delete(actor)
      if (!actor.wasTold && actor.outcome().code !== 0) this.#fallen.push(actor)
    })
    return actor
  }

  /** What ended without being told to, for whoever wonders why a step failed. */
  fallen(): string[] {
    return this.#fallen.map((actor) => `${actor.title} ended by itself:\n${actor.describe()}`)
  }

  /** A command that ends by itself; one that takes longer than `withinMs` is a failure. */
  async run(script: string, args: readonly string[], withinMs: number, input?: string): Promise<Outcome> {
    const actor = new Actor('command', script, args, this.#environment())
    this.#running.add(actor)
    void actor.ended.then(() => this.#running.delete(actor))
    actor.write(input)
    const timeout = new AbortController()
    try {
      const late = pause(withinMs, 'late' as const, { signal: timeout.signal }).catch(() => 'done' as const)
      if ((await Promise.race([actor.ended, late])) !== 'late') return actor.outcome()
      actor.kill('SIGKILL')
      throw new DemoFailure(`No answer within ${withinMs / 1_000} s.\n${actor.describe()}`)
    } finally {
      timeout.abort()
    }
  }

  /** Stops everything, politely first, and removes the folder. */
  async clear(): Promise<void> {
    await Promise.allSettled([...this.#running].map((actor) => actor.stop()))
    this.#clearNow()
  }

  #clearNow(): void {
    if (this.#cleared) return
    this.#cleared = true
    for (const actor of this.#running) actor.kill('SIGKILL')
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  /** As on a machine of its own: nothing of this user's settings, and no home but the stage's. */
  #environment(): NodeJS.ProcessEnv {
    const kept = ['PATH', 'TMPDIR', 'SYSTEMROOT', 'SEALMESH_SODIUM', 'NODE_EXTRA_CA_CERTS', 'LANG']
    const own = Object.fromEntries(kept.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])))
    return { ...own, HOME: this.folder, NO_COLOR: '1' }
  }
}

/** One child process and what it has said. */
export class Actor {
  readonly title: string
  readonly ended: Promise<void>
  readonly #child: ChildProcess
  readonly #command: string
  #stdout = ''
  #stderr = ''
  #failure: Error | undefined
  #over = false
  #told = false

  constructor(title: string, script: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    this.title = title
    this.#command = [script, ...args].join(' ')
    this.#child = spawn(process.execPath, [script, ...args], { env, stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout = (this.#stdout + text).slice(-OUTPUT_CHARACTERS_MAX)
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-OUTPUT_CHARACTERS_MAX)
    })
    // A child that ends without reading its input breaks this pipe; its exit code says the rest.
    this.#child.stdin?.on('error', () => undefined)
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        this.#failure = error
        this.#over = true
        resolve()
      })
      this.#child.once('close', () => {
        this.#over = true
        resolve()
      })
    })
  }

  /** Whether it was asked to end, or made to. */
  get wasTold(): boolean {
    return this.#told
  }

  get isOver(): boolean {
    return this.#over
  }

  get stdout(): string {
    return this.#stdout
  }

  /** Writes and ends the input. */
  write(input?: string): void {
    this.#child.stdin?.end(input ?? '')
  }

  outcome(): Outcome {
    return { code: this.#child.exitCode, stdout: this.#stdout, stderr: this.#stderr }
  }

  describe(): string {
    const exit = this.#over
      ? `exit ${this.#child.exitCode ?? this.#child.signalCode ?? this.#failure?.message}`
      : 'still running'
    return [`$ ${this.#command}`, `[${exit}]`, this.#stdout.trimEnd(), this.#stderr.trimEnd()]
      .filter((part) => part !== '')
      .join('\n')
  }

  kill(signal: NodeJS.Signals): void {
    this.#told = true
    if (!this.#over) this.#child.kill(signal)
  }

  /** Asks, waits, and insists. */
  async stop(): Promise<void> {
    if (this.#over) return
    this.kill('SIGTERM')
    const insist = setTimeout(() => this.kill('SIGKILL'), STOP_WAIT_MS)
    await this.ended
    clearTimeout(insist)
  }
}

export interface WaitOptions {
  readonly withinMs: number
  readonly progress?: Progress
  /** A process without which waiting makes no sense. */
  readonly needs?: Actor
}

/**
 * Asks `look` until it gives a value; what it returns in the meantime as `waiting` is the progress, and what the
 * failure says when time is up.
 */
export async function waitFor<T>(
  title: string,
  look: () => Promise<{ done: T } | { waiting: string }>,
  options: WaitOptions,
): Promise<T> {
  const giveUpAt = performance.now() + options.withinMs
  for (;;) {
    const seen = await look()
    if ('done' in seen) return seen.done
    options.progress?.(seen.waiting)
    if (options.needs?.isOver)
      throw new DemoFailure(`While waiting for ${title}, a process ended.\n${options.needs.describe()}`)
    if (performance.now() > giveUpAt)
      throw new DemoFailure(
        `Waited ${options.withinMs / 1_000} s for ${title}; last seen: ${seen.waiting}${options.needs ? `\n${options.needs.describe()}` : ''}`,
      )
    await pause(POLL_MS)
  }
}

/** What the narrator just claimed, checked. */
export function check(holds: boolean, claim: string, seen?: unknown): asserts holds {
  if (!holds)
    throw new DemoFailure(`Not so: ${claim}${seen === undefined ? '' : `\nSeen: ${JSON.stringify(seen, null, 2)}`}`)
}
