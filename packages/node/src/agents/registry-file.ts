import { rename, rm, writeFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import type { AgentView } from '@sealmesh/protocol/messages/profile'
import { PRIVATE_FILE_MODE } from '../keys/durable-file.ts'

/** At most twice a second, however many come and go. */
const PAUSE_MS = 500

export interface RegistryFileDeps {
  readonly path: string
  /** Undefined when nobody should read it: then it is not there. */
  readonly agents: () => readonly AgentView[] | undefined
  /** Of an agent's text pipes, where it has them. */
  readonly pipes: (name: string) => { readonly inbox: string; readonly status: string } | undefined
  readonly failed: (error: unknown) => void
}

/** `agent_registry.json`, for scripts that look for agents in a file. Whole at every moment; what it says may be half a second old. */
export class RegistryFile {
  readonly #deps: RegistryFileDeps
  #writing: Promise<void> | undefined
  #again = false
  readonly #closing = new AbortController()

  constructor(deps: RegistryFileDeps) {
    this.#deps = deps
  }

  changed(): void {
    this.#again = true
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
    })
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#writing
    await rm(this.#deps.path, { force: true })
  }

  async #write(): Promise<void> {
    while (this.#again && !this.#closing.signal.aborted) {
      this.#again = false
      try {
        await this.#writeOnce()
      } catch (error) {
        this.#deps.failed(error)
      }
      await pause(PAUSE_MS, undefined, { signal: this.#closing.signal }).catch(() => undefined)
    }
  }

  async #writeOnce(): Promise<void> {
    const { path, agents, pipes } = this.#deps
    const all = agents()
    if (all === undefined) return rm(path, { force: true })
    const rows = all.map((each) => [
      each.name,
      {
        status: each.state === 'attached' ? each.status : 'offline',
        pid: each.pid,
        registered_at: each.since,
        public_pipe: pipes(each.name)?.inbox ?? null,
        private_pipe: pipes(each.name)?.status ?? null,
        role: each.role,
      },
    ])
    // No fsync: it is about processes, and these do not outlive a power cut.
    await writeFile(`${path}.new`, `${JSON.stringify({ agents: Object.fromEntries(rows) }, null, 2)}\n`, {
      mode: PRIVATE_FILE_MODE,
    })
    await rename(`${path}.new`, path)
  }
}
