import { type ChildProcess, spawn } from 'node:child_process'
import type { Logger } from 'pino'

/** From the first signal to the one that cannot be ignored: the lease's guard is no longer. */
const KILLED_AFTER_MS = 400
/** A command that ends is started again after this; each time longer, up to the most. */
const AGAIN_AFTER_MS = 1_000
const AGAIN_AFTER_MS_MAX = 60_000
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
  child: ChildProcess | undefined
  /** What is to run; another one means that this is over. */
  readonly state: 'active' | 'standby'
  ended: boolean
}

/**
 * Starts what runs an agent where the node may act for it, and stops it where it may not: `on_active` runs for as long
 * as it does and is killed with its children when the right is lost, `on_standby` runs once after that. One at a time
 * for each agent.
 */
export class AgentCommands {
  readonly #deps: AgentCommandsDeps
  readonly #running = new Map<string, Running>()
  readonly #tails = new Map<string, Promise<void>>()

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

  /** Resolves when nothing runs any more. */
  async close(): Promise<void> {
    for (const running of this.#running.values()) stop(running)
    await Promise.all(this.#tails.values())
  }

  #switch(agent: string, state: Running['state'], line: CommandLine | undefined, env: NodeJS.ProcessEnv): void {
    const before = this.#running.get(agent)
    // In this turn: the right is gone already.
    if (before !== undefined) stop(before)
    if (line === undefined || line.length === 0) {
      this.#running.delete(agent)
      return
    }
    const running: Running = { child: undefined, state, ended: false }
    this.#running.set(agent, running)
    const tail = (this.#tails.get(agent) ?? Promise.resolve()).then(() => this.#run(agent, running, line, env))
    this.#tails.set(agent, tail)
  }

  async #run(agent: string, running: Running, line: CommandLine, env: NodeJS.ProcessEnv): Promise<void> {
    for (let againMs = AGAIN_AFTER_MS; !running.ended; againMs = Math.min(2 * againMs, AGAIN_AFTER_MS_MAX)) {
      const code = await this.#once(agent, running, line, env)
      this.#deps.logger.info({ agent, state: running.state, code }, 'an agent command has ended')
      if (running.ended || running.state === 'standby') return
      await new Promise<void>((resolve) => void setTimeout(resolve, againMs).unref())
    }
  }

  #once(agent: string, running: Running, line: CommandLine, env: NodeJS.ProcessEnv): Promise<number | null> {
    const [program = '', ...rest] = line
    return new Promise((resolve) => {
      // A group of its own, so that what it started is stopped with it.
      const child = spawn(program, rest, {
        env: { ...this.#deps.env, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      })
      running.child = child
      const say = (chunk: Buffer): void =>
        this.#deps.logger.info({ agent, output: chunk.toString('utf8', 0, LINE_BYTES_MAX) }, 'an agent command says')
      child.stdout.on('data', say)
      child.stderr.on('data', say)
      child.once('error', (error) => {
        this.#deps.logger.warn({ agent, err: error }, 'an agent command could not be started')
        resolve(null)
      })
      child.once('exit', (code) => {
        running.child = undefined
        resolve(code)
      })
    })
  }
}

function stop(running: Running): void {
  running.ended = true
  const { child } = running
  if (child?.pid === undefined || running.state === 'standby') return
  const { pid } = child
  kill(pid, 'SIGTERM')
  setTimeout(() => {
    if (running.child !== undefined) kill(pid, 'SIGKILL')
  }, KILLED_AFTER_MS)
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // It has ended by itself.
  }
}
