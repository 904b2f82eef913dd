import { copyFileSync, mkdirSync } from 'node:fs'
import * as path from 'node:path'
import { BIN, runProgram } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until } from '../processes/wait.ts'

/** Relays that are one, as their owner sets them up: the first makes the key, the others are given it. */
export class ClusterRelays {
  readonly #directory: string
  readonly #clusters: readonly string[]
  readonly #env: Readonly<Record<string, string>>
  readonly #relays: RelayProcess[] = []

  private constructor(directory: string, clusters: readonly string[], env: Readonly<Record<string, string>>) {
    this.#directory = directory
    this.#env = env
    this.#clusters = clusters
  }

  /** One for each `--cluster` that is given. */
  static async start(
    directory: string,
    clusters: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<ClusterRelays> {
    const relays = new ClusterRelays(directory, clusters, env)
    try {
      for (let at = 0; at < clusters.length; at++) await relays.begin(at)
    } catch (error) {
      await relays.stop()
      throw error
    }
    return relays
  }

  at(index: number): RelayProcess {
    const relay = this.#relays[index]
    if (relay === undefined) throw new Error(`no relay ${index}`)
    return relay
  }

  get all(): readonly RelayProcess[] {
    return this.#relays
  }

  /** A code that lets a mesh in, made as an owner makes one. */
  async claim(): Promise<string> {
    const data = path.join(this.#directory, 'relay-0')
    const { objects } = await runProgram(BIN.relay, ['claim', '--json', '--data', data], { name: 'claim' })
    return String(objects[0]?.['claim'])
  }

  /** For the first time, or again after its end: under its own port. */
  async begin(at: number): Promise<void> {
    const data = path.join(this.#directory, `relay-${at}`)
    const key = path.join(data, 'relay.key')
    if (at > 0 && this.#relays[at] === undefined) {
      mkdirSync(data, { mode: 0o700 })
      copyFileSync(path.join(this.#directory, 'relay-0', 'relay.key'), key)
    }
    const port = this.#relays[at]?.port
    const relay = await RelayProcess.start({
      data,
      extra: ['--cluster', this.#clusters[at] ?? ''],
      env: this.#env,
      ...(port === undefined ? {} : { port }),
    })
    this.#relays[at] = relay
    await until('the relay is ready', async () => (await fetch(`http://127.0.0.1:${relay.port}/readyz`)).status === 200)
  }

  async stop(): Promise<void> {
    await Promise.allSettled(this.#relays.map((relay) => relay.kill()))
  }
}
