import { fileURLToPath } from 'node:url'
import { type Actor, check, type Stage, waitFor } from './stage.ts'
import { parseJson } from './machine.ts'

const SEALMESH_RELAY = fileURLToPath(new URL('../../../packages/relay/bin/sealmesh-relay.js', import.meta.url))
const READY_WITHIN_MS = 15_000

/** The relay process, as its owner starts it on a VPS. */
export class Relay {
  readonly folder: string
  /** What it prints for nodes, and the code that admits a first mesh. */
  readonly address: string
  readonly claim: string
  readonly #actor: Actor

  static async start(stage: Stage): Promise<Relay> {
    const folder = stage.makeFolder('relay')
    const args = ['up', '--data', folder, '--host', '127.0.0.1', '--port', '0', '--tls', 'self-signed', '--json']
    const actor = stage.start('relay', SEALMESH_RELAY, args)
    actor.write()
    const said = await waitFor(
      'the relay to print its address',
      async () => {
        const line = actor.stdout.split('\n').map(parseJson).find(isAnnouncement)
        return line ? { done: line } : { waiting: 'no address yet' }
      },
      { withinMs: READY_WITHIN_MS, needs: actor },
    )
    return new Relay(folder, said, actor)
  }

  private constructor(folder: string, said: { address: string; claim: string }, actor: Actor) {
    this.folder = folder
    this.address = said.address
    this.claim = said.claim
    this.#actor = actor
  }

  get port(): number {
    return Number(new URL(this.address).port)
  }

  /** The same address at the end of a cable. */
  addressThrough(port: number): string {
    return this.address.replace(`:${this.port}`, `:${port}`)
  }

  /** Everything it has printed, logs included. */
  get said(): string {
    const { stdout, stderr } = this.#actor.outcome()
    return stdout + stderr
  }

  async stop(): Promise<void> {
    await this.#actor.stop()
    check(this.#actor.outcome().code === 0, 'the relay stops with exit code 0', this.#actor.describe())
  }
}

function isAnnouncement(line: unknown): line is { address: string; claim: string } {
  if (typeof line !== 'object' || line === null) return false
  const { address, claim } = line as Record<string, unknown>
  return typeof address === 'string' && typeof claim === 'string'
}
