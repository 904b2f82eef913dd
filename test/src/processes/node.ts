import { setTimeout as pause } from 'node:timers/promises'
import { connectDoor, type DoorClient } from '@sealmesh/node/ipc/client'
import { resolveHome } from '@sealmesh/node/keys/home'
import { findSocket } from '@sealmesh/node/keys/socket-path'
import type { Status } from '@sealmesh/protocol/ipc/methods'
import { BIN, Program, type ProgramOptions } from './program.ts'
import { until, within } from './wait.ts'

/** A real node process on a home of its own, which outlives the process and may be started again. */

export interface NodeOptions {
  readonly home: string
  readonly name: string
  /** For the first start of a mesh's first node. */
  readonly relay?: string
  readonly claim?: string
  /** The founding agent; the node's name when absent. */
  readonly agent?: string
  readonly env?: Readonly<Record<string, string>>
  /** More words for `sealmesh up`. */
  readonly args?: readonly string[]
  /** Another program than the one built here. */
  readonly bin?: string
}

const READY_MS = 30_000
const POLL_MS = 20

export class NodeProcess {
  readonly name: string
  readonly home: string
  readonly program: Program
  readonly #doors = new Set<DoorClient>()

  private constructor(options: NodeOptions, program: Program) {
    this.name = options.name
    this.home = options.home
    this.program = program
  }

  /** Resolves when its door answers. */
  static async start(options: NodeOptions): Promise<NodeProcess> {
    const args = ['up', '--home', options.home, '--json']
    if (options.relay !== undefined) args.push('--name', options.name, '--relay', options.relay)
    if (options.agent !== undefined) args.push('--agent', options.agent)
    if (options.claim !== undefined) args.push('--claim', options.claim)
    args.push(...(options.args ?? []))
    const settings: ProgramOptions = { name: options.name, ...(options.env ? { env: options.env } : {}) }
    const node = new NodeProcess(options, new Program(options.bin ?? BIN.node, args, settings))
    try {
      const door = await within(node.#firstDoor(), READY_MS, () => `${node.name} is not up: ${node.program.describe()}`)
      await door.close()
      return node
    } catch (error) {
      await node.program.kill()
      throw error
    }
  }

  async #firstDoor(): Promise<DoorClient> {
    for (;;) {
      if (!this.program.running) throw new Error(`${this.name} ended instead of starting: ${this.program.describe()}`)
      try {
        return await connectDoor(await this.socketPath())
      } catch {
        await pause(POLL_MS)
      }
    }
  }

  async socketPath(): Promise<string> {
    return await findSocket(resolveHome(this.home, process.env))
  }

  /** A connection of its own; closed with the node at the latest. */
  async door(): Promise<DoorClient> {
    const door = await connectDoor(await this.socketPath())
    this.#doors.add(door)
    void door.closed.then(() => this.#doors.delete(door))
    return door
  }

  async status(): Promise<Status> {
    const door = await this.door()
    try {
      return await door.call('status', {})
    } finally {
      await door.close()
    }
  }

  async untilStatus(what: string, holds: (status: Status) => boolean, deadlineMs = 60_000): Promise<Status> {
    let last: Status | undefined
    try {
      return await until(
        `${this.name} is ${what}`,
        async () => {
          last = await this.status()
          return holds(last) ? last : undefined
        },
        deadlineMs,
      )
    } catch (cause) {
      throw new Error(`${String(cause)}; last: ${JSON.stringify(last)}; ${this.program.describe()}`, { cause })
    }
  }

  async kill(): Promise<void> {
    await this.program.kill()
    await this.#closeDoors()
  }

  async stop(): Promise<void> {
    await this.#closeDoors()
    await this.program.stop()
  }

  async #closeDoors(): Promise<void> {
    for (const door of this.#doors) await door.close()
  }
}
