import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { connectDoor } from '@sealmesh/node/ipc/client'
import { resolveHome } from '@sealmesh/node/keys/home'
import { findSocket } from '@sealmesh/node/keys/socket-path'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes } from '../processes/pair.ts'
import { REPOSITORY } from '../processes/program.ts'
import { RelayProcess } from '../processes/relay.ts'
import { until, within } from '../processes/wait.ts'
import type { Step } from './runbook.ts'

const BLOCK_MS = 90_000
/** What a block prints that later ones need, as a person would paste it. */
const TAKEN: Readonly<Record<string, RegExp>> = {
  ADDRESS: /^relay address: +(\S+)/m,
  CODE: /^claim code: +(\S+)/m,
  LINK: /(sealmesh:\S+)/,
}

/**
 * What runbooks begin with: a relay, `home`, which founded the mesh and holds the agent `claude`, `office`, an admin that
 * stands by for it, and the recovery kit. Machines are folders; the user is at home in each.
 */
export class Stage {
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-runbook-'))
  readonly #variables: Record<string, string> = {}
  readonly #stay: ReturnType<typeof spawn>[] = []

  async open(): Promise<this> {
    const passphrase = path.join(this.directory, 'passphrase')
    fs.writeFileSync(passphrase, 'four words for the runbooks\n', { mode: 0o600 })
    Object.assign(this.#variables, {
      KIT: path.join(this.directory, 'kit.age'),
      PASSPHRASE: passphrase,
      STICK: path.join(this.directory, 'stick'),
    })
    fs.mkdirSync(this.#variables['STICK'] ?? '')
    const relay = await RelayProcess.start({ data: this.#relayData('relay') })
    this.#stay.push(relay.program.child)
    this.#variables['RELAY_FLAGS'] = `--tls none --host 127.0.0.1 --port ${relay.port}`
    const home = await NodeProcess.start({
      home: this.#sealmeshHome('home'),
      name: 'home',
      agent: 'claude',
      relay: relay.address,
      claim: relay.claim ?? '',
      args: ['--no-kit'],
    })
    const office = await pairNodes(home, { home: this.#sealmeshHome('office'), name: 'office' })
    this.#stay.push(home.program.child, office.program.child)
    const door = await home.door()
    await door.call('agents.add', { name: 'claude', standby: ['office'] })
    const layers = ['semantic', 'session']
    await door.call('share.set', { agent: 'claude', changes: layers.map((layer) => ({ layer, to: 'standby' })) })
    await door.call('device.promote', { node: 'office' })
    await door.call('set', { umr: 'claude.semantic.deploy-day', value: '"Tuesday"' })
    await door.call('set', { umr: 'claude.session.task', value: '"release notes"' })
    await door.call('wait', { until: 'synced', timeoutMs: 30_000 })
    await until('the relay has the log for the kit', async () => (await door.call('key.show', {})).logCopied)
    await door.close()
    const kit = 'sealmesh key backup "$KIT" --passphrase-file "$PASSPHRASE"'
    await this.run({ type: 'run', machine: 'home', stays: false, commands: kit, shows: [], line: 0 })
    return this
  }

  /** What the block printed, on both streams in the order in which it came. */
  async run(step: Extract<Step, { type: 'run' }>): Promise<string> {
    const child = spawn('bash', ['-euo', 'pipefail', '-c', step.commands], {
      env: this.#environment(step.machine),
      cwd: this.#machine(step.machine),
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own, so that all of a block that does not end can be ended.
      detached: !step.stays,
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    if (step.stays) {
      this.#stay.push(child)
      // It says what the next ones need, and goes on.
      await until('it prints something', () => output.includes('\n') && TAKES.some((taken) => taken.test(output)))
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
    } else {
      const ended = within(once(child, 'close'), BLOCK_MS, () => `line ${step.line} does not end:\n${output}`)
      const [code] = await ended.catch((error: unknown) => {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
        throw error
      })
      if (code !== 0) throw new Error(`line ${step.line} ended with ${code}:\n${output}`)
    }
    for (const [name, pattern] of Object.entries(TAKEN)) {
      const found = pattern.exec(output)?.[1]
      if (found !== undefined) this.#variables[name] = found
    }
    return output
  }

  /**
   * `keeps`: its owner keeps what makes a relay itself. `connects`: a node has reached its relay. `stops`: as its owner stops it. `dies`: its process is killed.
   * `burns`: its disk is gone as well.
   */
  async happens({ what, machine, line }: Extract<Step, { type: 'happens' }>): Promise<void> {
    if (what === 'keeps') return this.#keepRelay(machine)
    if (what === 'connects') return this.#connects(machine)
    if (!['stops', 'dies', 'burns'].includes(what)) throw new Error(`line ${line}: nothing of the name ${what} happens`)
    for (const pid of await this.#processes(machine)) process.kill(pid, what === 'stops' ? 'SIGTERM' : 'SIGKILL')
    await until('it is gone', async () => (await this.#processes(machine)).length === 0)
    if (what === 'burns') fs.rmSync(this.#machine(machine), { recursive: true })
  }

  async close(): Promise<void> {
    for (const machine of fs.readdirSync(path.join(this.directory, 'machines')))
      for (const pid of await this.#processes(machine)) process.kill(pid, 'SIGKILL')
    for (const child of this.#stay) child.kill('SIGKILL')
    fs.rmSync(this.directory, { recursive: true, force: true })
  }

  async #connects(machine: string): Promise<void> {
    const door = await connectDoor(await findSocket(resolveHome(this.#sealmeshHome(machine), {})))
    try {
      const isLive = async (): Promise<boolean> => {
        const { relays } = await door.call('status', {})
        return relays.some(({ state }) => state === 'live')
      }
      await until(`${machine} has reached its relay`, isLive, BLOCK_MS)
    } finally {
      await door.close()
    }
  }

  #keepRelay(machine: string): void {
    const kept = path.join(this.#variables['STICK'] ?? '', 'relay')
    fs.mkdirSync(kept, { recursive: true })
    for (const name of ['relay.key', 'tls.key', 'tls.crt', 'meshes']) {
      const from = path.join(this.#relayData(machine), name)
      // Without TLS there is no certificate.
      if (fs.existsSync(from)) fs.cpSync(from, path.join(kept, name), { recursive: true })
    }
  }

  /** Nodes by what their door says, relays by what lies beside their data. */
  async #processes(machine: string): Promise<number[]> {
    const pids: number[] = []
    try {
      const door = await connectDoor(await findSocket(resolveHome(this.#sealmeshHome(machine), {})))
      pids.push((await door.call('status', {})).pid)
      await door.close()
    } catch {
      // No node runs there.
    }
    const data = this.#relayData(machine)
    for (const child of this.#stay)
      if (child.exitCode === null && child.signalCode === null && child.pid !== undefined && runsOn(child, data))
        pids.push(child.pid)
    return pids
  }

  #environment(machine: string): NodeJS.ProcessEnv {
    const { XDG_DATA_HOME: _, SEALMESH_HOME: __, ...inherited } = process.env
    // One at another address says so in its name.
    const flags = machine.startsWith('other') ? '--tls none --host 127.0.0.1 --port 0' : this.#variables['RELAY_FLAGS']
    return {
      ...inherited,
      ...this.#variables,
      RELAY_FLAGS: flags,
      PATH: `${path.join(REPOSITORY, 'bin')}:${process.env['PATH'] ?? ''}`,
      HOME: this.#machine(machine),
      NO_COLOR: '1',
    }
  }

  #machine(name: string): string {
    const at = path.join(this.directory, 'machines', name)
    fs.mkdirSync(at, { recursive: true, mode: 0o700 })
    return at
  }
  #sealmeshHome = (machine: string): string => path.join(this.#machine(machine), '.sealmesh')
  #relayData = (machine: string): string => path.join(this.#machine(machine), '.local/share/sealmesh-relay')
}

const TAKES = Object.values(TAKEN)
const SETTLE_MS = 300

/** A relay is a child of ours, and names its data or has it where its user is at home. */
function runsOn(child: ReturnType<typeof spawn>, data: string): boolean {
  if (child.spawnargs.includes(data)) return true
  const home = path.resolve(data, '../../..')
  const isRelay = child.spawnargs.some((word) => word.includes('sealmesh-relay up'))
  try {
    return isRelay && fs.readFileSync(`/proc/${child.pid}/environ`, 'utf8').split('\0').includes(`HOME=${home}`)
  } catch {
    return false
  }
}
