import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { Logger } from 'pino'

/** From the first signal to the one that cannot be ignored: the lease's guard is no longer. */
const KILLED_AFTER_MS = 400
/** A command that ends is started again after this; each time longer, up to the most. */
const AGAIN_AFTER_MS = 1_000
const AGAIN_AFTER_MS_MAX = 60_000
/** What is to run once may not keep anything else from running for longer. */
const ONCE_MS_MAX = 60_000
/** What of its output reaches the log at once. */
const LINE_BYTES_MAX = 4_096

/** Program and arguments; no shell reads them. */
export type CommandLine = readonly string[]

export interface AgentCommandsDeps {
  readonly of: (
    agent: string,
  ) => { readonly on_active?: CommandLine | undefined; readonly on_standby?: CommandLine | undefined } | undefined
  readonly env: NodeJS.ProcessEnv
  readonly logger: Pick<Logger, 'info' | 'warn'>
}

interface Running {
  /** Of the leader of its group, which may outlive it. */
  pid: number | undefined
  /** What is to run; another one means that this is over. */
  readonly state: 'active' | 'standby'
  ended: boolean
  /** Ends the pause before the next try. */
  wake: () => void
  /** Resolves when nothing of it runs any more, once it has been stopped. */
  gone: Promise<void>
}

/**
 * Starts what runs an agent where the node may act for it, and stops it where it may not: `on_active` runs for as long
 * as it does and is killed with its children when the right is lost, or this process dies; `on_standby` runs once after
 * that. One at a time
 * for each agent.
 */
export class AgentCommands {
  readonly #deps: AgentCommandsDeps
  readonly #running = new Map<string, Running>()
  readonly #tails = new Map<string, Promise<void>>()
  readonly #going = new Set<Promise<void>>()
  #closed = false

  constructor(deps: AgentCommandsDeps) {
    this.#deps = deps
  }

  gained(agent: string, term: number, token: string): void {
    const line = this.#deps.of(agent)?.on_active
    this.#switch(agent, 'active', line, { SEALMESH_AGENT: agent, SEALMESH_TERM: `${term}`, SEALMESH_TOKEN: token })
  }

  lost(agent: string, term: number): void {
    const line = this.#deps.of(agent)?.on_standby
    this.#switch(agent, 'standby', line, { SEALMESH_AGENT: agent, SEALMESH_TERM: `${term}` })
  }

  /** Resolves when what was stopped so far has ended: its right may be given to others now. */
  async stopped(): Promise<void> {
    await Promise.all(this.#going)
  }

  /** Resolves when nothing runs any more; nothing is started from now on. */
  async close(): Promise<void> {
    this.#closed = true
    for (const running of this.#running.values()) this.#stop(running)
    await Promise.all(this.#tails.values())
  }

  #switch(agent: string, state: Running['state'], line: CommandLine | undefined, env: NodeJS.ProcessEnv): void {
    const before = this.#running.get(agent)
    // In this turn: the right is gone already.
    if (before !== undefined) this.#stop(before)
    if (this.#closed || line === undefined || line.length === 0) {
      this.#running.delete(agent)
      return
    }
    const running: Running = { pid: undefined, state, ended: false, wake: () => {}, gone: Promise.resolve() }
    this.#running.set(agent, running)
    const tail = (this.#tails.get(agent) ?? Promise.resolve()).then(() => this.#run(agent, running, line, env))
    this.#tails.set(agent, tail)
  }

  async #run(agent: string, running: Running, line: CommandLine, env: NodeJS.ProcessEnv): Promise<void> {
    for (let againMs = AGAIN_AFTER_MS; !running.ended; againMs = Math.min(2 * againMs, AGAIN_AFTER_MS_MAX)) {
      const code = await this.#once(agent, running, line, env)
      this.#deps.logger.info({ agent, state: running.state, code }, 'an agent command has ended')
      if (running.ended || running.state === 'standby') break
      // What it had started is not to run beside the next one.
      kill(running.pid, 'SIGKILL')
      await new Promise<void>((resolve) => {
        running.wake = resolve
        setTimeout(resolve, againMs).unref()
      })
    }
    await running.gone
  }

  #stop(running: Running): void {
    if (running.ended) return
    running.ended = true
    running.wake()
    const { pid } = running
    if (pid === undefined) return
    kill(pid, 'SIGTERM')
    // Whether or not the leader has gone: what it started may ignore the first signal, or never have been passed it.
    running.gone = new Promise((resolve) => {
      setTimeout(() => {
        kill(pid, 'SIGKILL')
        resolve()
      }, KILLED_AFTER_MS)
    })
    const { gone } = running
    this.#going.add(gone)
    void gone.then(() => this.#going.delete(gone))
  }

  #once(agent: string, running: Running, line: CommandLine, env: NodeJS.ProcessEnv): Promise<number | null> {
    const [program = '', ...rest] = line
    return new Promise((resolve) => {
      // A group of its own, so that what it started is stopped with it.
      let child: ChildProcessByStdio<null, Readable, Readable>
      try {
        child = spawn(program, rest, {
          env: { ...this.#deps.env, ...env },
          stdio: ['ignore', 'pipe', 'pipe'],
          detached: true,
        })
      } catch (error) {
        this.#deps.logger.warn({ agent, err: error }, 'an agent command could not be started')
        return resolve(null)
      }
      running.pid = child.pid
      const watcher = watch(child.pid)
      const limit = running.state === 'standby' ? setTimeout(() => this.#stop(running), ONCE_MS_MAX) : undefined
      const say = (chunk: Buffer): void =>
        this.#deps.logger.info({ agent, output: chunk.toString('utf8', 0, LINE_BYTES_MAX) }, 'an agent command says')
      child.stdout.on('data', say)
      child.stderr.on('data', say)
      child.once('error', (error) => {
        this.#deps.logger.warn({ agent, err: error }, 'an agent command could not be started')
        resolve(null)
      })
      child.once('exit', (code) => {
        watcher?.kill('SIGKILL')
        clearTimeout(limit)
        resolve(code)
      })
    })
  }
}

/**
 * Kills that group when this process is gone, however it ends: its end of the pipe closes then. Nobody is left to stop
 * what acts under a lease that nobody renews.
 */
function watch(pid: number | undefined): ChildProcess | undefined {
  if (pid === undefined || process.platform === 'win32') return undefined
  const watcher = spawn('/bin/sh', ['-c', 'cat > /dev/null; kill -s KILL -- "-$0"', `${pid}`], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  // Without it all else goes on as it did.
  watcher.on('error', () => undefined)
  watcher.stdin.on('error', () => undefined)
  watcher.unref()
  if (watcher.stdin instanceof Socket) watcher.stdin.unref()
  return watcher
}

function kill(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // It has ended by itself.
  }
}
