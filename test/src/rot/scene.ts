import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { type RunningNode, startNode } from '@sealmesh/node/main'
import { Failure } from '@sealmesh/protocol/errors'
import type { MethodInput, MethodName, MethodResult } from '@sealmesh/protocol/ipc/methods'
import { methods } from '@sealmesh/protocol/ipc/methods'
import { NodeProcess } from '../processes/node.ts'
import { pairNodes, shareLayers, untilInSync } from '../processes/pair.ts'
import { RelayProcess } from '../processes/relay.ts'

export const SHARED = ['semantic', 'files'] as const
export const PRIVATE = 'procedural'
/** Shared too, and mirrored to a folder beside the home. */
const MIRRORED = 'vault'
const NOTES = ['one.md', 'two.md', 'deep/three.md']
const textOf = (name: string): string => `first line of ${name}\nsecond line\n`

/** What `home` should read: every item by its UMR. */
export type Truth = ReadonlyMap<string, string>

/** A relay and an office as processes, and a home that is started in this one: a round costs a start and no more. */
export class RotScene {
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-rot-'))
  /** What `home` should read. */
  readonly truth = new Map<string, string>()
  #relay: RelayProcess | undefined
  #office: NodeProcess | undefined

  get home(): string {
    return path.join(this.directory, 'home')
  }

  get folder(): string {
    return path.join(this.directory, 'notes')
  }

  get office(): NodeProcess {
    if (this.#office === undefined) throw new Error('the scene is not open')
    return this.#office
  }

  /** Several runs of both nodes, so that there are several incarnations, tables and a log. */
  async open(registers: number): Promise<this> {
    this.#relay = await RelayProcess.start({ data: path.join(this.directory, 'relay') })
    const { address, claim } = this.#relay
    const options = { home: this.home, name: 'home', relay: address, ...(claim ? { claim } : {}) }
    let home = await NodeProcess.start(options)
    this.#office = await pairNodes(home, { home: path.join(this.directory, 'office'), name: 'office' })
    await shareLayers(home, 'home', [...SHARED, MIRRORED], 'office:write')
    for (const name of NOTES) {
      fs.mkdirSync(path.dirname(path.join(this.folder, name)), { recursive: true })
      fs.writeFileSync(path.join(this.folder, name), textOf(name))
    }
    const first = await home.door()
    await first.call('folder.add', { agent: 'home', layer: MIRRORED, path: this.folder, newLayer: true })
    await first.close()
    fs.writeFileSync(path.join(this.home, 'config.toml'), '[node]\nlog_level = "warn"\n', { mode: 0o600 })
    for (let run = 0; run < 3; run++) {
      const door = await home.door()
      const put = async (umr: string, value: string) => {
        await door.call('set', { umr, value: JSON.stringify(value) })
        this.truth.set(umr, value)
      }
      for (let i = 0; i < registers; i++) await put(`home.semantic.fact-${i % 40}`, `run ${run}, write ${i}`)
      for (let i = 0; i < registers / 4; i++) await put(`home.${PRIVATE}.habit-${i}`, `run ${run}, habit ${i}`)
      for (let i = 0; i < registers / 8; i++) await put(`home.diary.day-${run}-${i}`, `dear diary ${run} ${i}`)
      for (let i = 0; i < 6; i++) {
        const umr = `home.files.note-${i}.md`
        const text = `${this.truth.get(umr) ?? ''}line of run ${run}\n`
        await door.call('text.put', { umr, text })
        this.truth.set(umr, text)
      }
      const there = await this.office.door()
      for (let i = 0; i < registers / 4; i++) {
        const umr = `home.semantic.theirs-${i}`
        await there.call('set', { umr, value: JSON.stringify(`office, run ${run}`) })
        this.truth.set(umr, `office, run ${run}`)
      }
      await there.close()
      if (run < 2) {
        await home.stop()
        home = await NodeProcess.start({ home: this.home, name: 'home' })
      }
    }
    await untilInSync(home, this.office)
    await home.stop()
    return this
  }

  /** What is wrong with the mirrored files; empty when nothing is. Nobody has changed any. */
  folderFaults(): string[] {
    const entries = fs.readdirSync(this.folder, { recursive: true, withFileTypes: true })
    const found = entries
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(this.folder, path.join(entry.parentPath, entry.name)))
    const more = found.filter((name) => !NOTES.includes(name)).map((name) => `${name} was not there`)
    const changed = NOTES.flatMap((name) => {
      if (!found.includes(name)) return [`${name} is gone`]
      const text = fs.readFileSync(path.join(this.folder, name), 'utf8')
      return text === textOf(name) ? [] : [`${name} reads ${JSON.stringify(text)}`]
    })
    return [...more, ...changed]
  }

  start(): Promise<RunningNode> {
    return startNode({ home: this.home, logLevel: 'warn' })
  }

  async close(): Promise<void> {
    await Promise.all([this.#office?.kill(), this.#relay?.kill()])
    fs.rmSync(this.directory, { recursive: true, force: true })
  }
}

/** A method of the local socket without the socket: with its defaults, and whatever it throws. */
export async function call<M extends MethodName>(
  node: RunningNode,
  method: M,
  params: MethodInput<M>,
): Promise<MethodResult<M>> {
  const handler = node.handlers[method] as (params: unknown, connection: unknown) => unknown
  return (await handler(methods[method].params.parse(params), undefined)) as MethodResult<M>
}

/** The text or value of an item, `undefined` when it is not there, the code of the refusal when it is refused. */
export async function read(
  node: RunningNode,
  umr: string,
): Promise<{ value: string | undefined } | { refused: string }> {
  try {
    const { item } = await call(node, 'get', { umr })
    if (item === null) return { value: undefined }
    if (item.type === 'text') return { value: item.text }
    if (item.type === 'register') return { value: JSON.parse(item.value) as string }
    return { value: item.content ?? undefined }
  } catch (error) {
    if (error instanceof Failure) return { refused: error.code }
    throw error
  }
}
