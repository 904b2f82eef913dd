import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers, untilInSync } from '../processes/pair.ts'
import { RelayProcess } from '../processes/relay.ts'

/** A relay, home and office, as real processes that a test kills and starts again. */
export class Scene {
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-crash-'))
  #relay: RelayProcess | undefined
  #home: NodeProcess | undefined
  #office: NodeProcess | undefined

  static readonly LAYER = 'semantic'
  static readonly PREFIX = 'home.semantic.'

  async open(): Promise<this> {
    try {
      await this.#start()
      return this
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async #start(): Promise<void> {
    this.#relay = await RelayProcess.start({ data: this.relayData })
    const { address, claim } = this.#relay
    this.#home = await NodeProcess.start({
      home: this.homeOf('home'),
      name: 'home',
      relay: address,
      ...(claim ? { claim } : {}),
    })
    this.#office = await pairNodes(this.#home, { home: this.homeOf('office'), name: 'office' })
    await shareLayers(this.#home, 'home', [Scene.LAYER], 'office')
    await untilInSync(this.#home, this.#office)
  }

  get relayData(): string {
    return path.join(this.directory, 'relay')
  }
  homeOf(name: string): string {
    return path.join(this.directory, name)
  }

  get relay(): RelayProcess {
    return there(this.#relay)
  }
  get home(): NodeProcess {
    return there(this.#home)
  }
  get office(): NodeProcess {
    return there(this.#office)
  }

  async restartRelay(env: Readonly<Record<string, string>> = {}): Promise<RelayProcess> {
    this.#relay = await RelayProcess.start({ data: this.relayData, port: this.relay.port, env })
    return this.#relay
  }

  async restartHome(env: Readonly<Record<string, string>> = {}): Promise<NodeProcess> {
    this.#home = await NodeProcess.start({ home: this.homeOf('home'), name: 'home', env })
    return this.#home
  }

  async restartOffice(): Promise<NodeProcess> {
    this.#office = await NodeProcess.start({ home: this.homeOf('office'), name: 'office' })
    return this.#office
  }

  /** Kills what still runs: a test that failed may have left anything behind. */
  async close(): Promise<void> {
    await Promise.all([this.#home?.kill(), this.#office?.kill(), this.#relay?.kill()])
    fs.rmSync(this.directory, { recursive: true, force: true })
  }
}

function there<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the scene is not open')
  return value
}
