import { askRelay } from '@sealmesh/relay/control/client'
import { dataDirectory } from '@sealmesh/relay/data/data-directory'
import { BIN, Program } from './program.ts'

/** A real relay process on plain WebSocket on loopback; its data outlives it. */

export interface RelayOptions {
  readonly data: string
  /** The same again after a restart, or the nodes would look for it in vain. */
  readonly port?: number
  readonly env?: Readonly<Record<string, string>>
  /** Another program than the one built here. */
  readonly bin?: string
  /** Further flags of `up`. */
  readonly extra?: readonly string[]
}

export class RelayProcess {
  readonly program: Program
  readonly data: string
  readonly address: string
  readonly port: number
  readonly claim: string | undefined

  private constructor(
    program: Program,
    data: string,
    ready: { address: string; port: number; claim: string | undefined },
  ) {
    this.program = program
    this.data = data
    this.address = ready.address
    this.port = ready.port
    this.claim = ready.claim
  }

  static async start({ data, port = 0, env, bin = BIN.relay, extra = [] }: RelayOptions): Promise<RelayProcess> {
    const args = [
      'up',
      '--json',
      '--tls',
      'none',
      '--host',
      '127.0.0.1',
      '--data',
      data,
      '--port',
      String(port),
      ...extra,
    ]
    const program = new Program(bin, args, { name: 'relay', ...(env ? { env } : {}) })
    try {
      return new RelayProcess(program, data, await program.line(readReady))
    } catch (error) {
      await program.kill()
      throw error
    }
  }

  get pid(): number {
    return this.program.child.pid ?? 0
  }

  /** The address of the same relay behind another port: a proxy's. */
  addressAt(port: number): string {
    return this.address.replace(`:${this.port}`, `:${port}`)
  }

  async metrics(): Promise<string> {
    return (await askRelay(dataDirectory(this.data, {}), '/metrics')).text
  }

  async kill(): Promise<void> {
    await this.program.kill()
  }

  async stop(): Promise<void> {
    await this.program.stop()
  }
}

function readReady(object: Record<string, unknown>) {
  const { address, claim } = object
  if (typeof address !== 'string') return undefined
  return { address, port: Number(new URL(address).port), claim: typeof claim === 'string' ? claim : undefined }
}
