import { fileURLToPath } from 'node:url'
import { ItemView, methods, type MethodName, type MethodResult, type Status } from '@sealmesh/protocol/ipc/methods'
import { type Actor, check, DemoFailure, type Outcome, type Stage, waitFor, type WaitOptions } from './stage.ts'

const SEALMESH = fileURLToPath(new URL('../../../packages/node/bin/sealmesh.js', import.meta.url))
const ANSWER_WITHIN_MS = 20_000

/** One machine of the owner: a home folder, its node process, and a person who types `sealmesh`. */
export class Machine {
  readonly name: string
  readonly home: string
  readonly #stage: Stage
  #node: Actor | undefined

  constructor(stage: Stage, name: string) {
    this.#stage = stage
    this.name = name
    this.home = stage.makeFolder(name)
  }

  /** `sealmesh up`, which stays; resolves when the node answers on its socket. */
  async up(args: readonly string[] = []): Promise<Status> {
    const node = this.#stage.start(this.name, SEALMESH, ['up', ...args, '--home', this.home])
    node.write()
    this.#node = node
    return waitFor(`${this.name} to answer`, () => this.#tryStatus(), { withinMs: ANSWER_WITHIN_MS, needs: node })
  }

  /** As the power switch does it. */
  async kill(): Promise<void> {
    this.#node?.kill('SIGKILL')
    await this.#node?.ended
  }

  async down(): Promise<void> {
    const node = this.#node
    await this.call('down', ['down'])
    if (node === undefined) return
    await waitFor(`${this.name} to stop`, async () => (node.isOver ? { done: true } : { waiting: 'still running' }), {
      withinMs: ANSWER_WITHIN_MS,
    })
    check(node.outcome().code === 0, `${this.name} stops with exit code 0`, node.describe())
  }

  /** A command that goes on beside others, such as `pair`. */
  startCommand(args: readonly string[]): Actor {
    return this.#stage.start(`${this.name}: ${args[0] ?? ''}`, SEALMESH, [...args, '--home', this.home])
  }

  /** Types a command and expects it to succeed. */
  async type(args: readonly string[], input?: string): Promise<Outcome> {
    const outcome = await this.attempt(args, input)
    if (outcome.code !== 0)
      throw new DemoFailure(
        `${this.name}$ sealmesh ${args.join(' ')}\n[exit ${outcome.code}]\n${outcome.stdout}${outcome.stderr}`,
      )
    return outcome
  }

  attempt(args: readonly string[], input?: string): Promise<Outcome> {
    return this.#stage.run(SEALMESH, [...args, '--home', this.home], ANSWER_WITHIN_MS, input)
  }

  /** A command with `--json`, its answer checked against the schema that the socket has for it. */
  async call<M extends MethodName>(method: M, args: readonly string[], input?: string): Promise<MethodResult<M>> {
    const { stdout } = await this.type([...args, '--json'], input)
    const answer = methods[method].result.safeParse(parseJson(stdout))
    if (!answer.success)
      throw new DemoFailure(
        `${this.name}$ sealmesh ${args.join(' ')} --json\nnot an answer to ${method}:\n${stdout}\n${answer.error.message}`,
      )
    return answer.data as MethodResult<M>
  }

  status(): Promise<Status> {
    return this.call('status', ['status'])
  }

  /** Text, kept as a JSON string. */
  set(umr: string, value: string): Promise<MethodResult<'set'>> {
    return this.call('set', ['set', umr, value])
  }

  /** What `set` was given; undefined when there is no such register. */
  async value(umr: string): Promise<string | undefined> {
    const item = await this.item(umr)
    return item?.type === 'register' ? String(parseJson(item.value)) : undefined
  }

  async text(umr: string): Promise<string | undefined> {
    const item = await this.item(umr)
    return item?.type === 'text' ? item.text : undefined
  }

  /** Undefined when there is nothing of that name here, or not yet an agent of that name. */
  async item(umr: string): Promise<ItemView | undefined> {
    const { code, stdout, stderr } = await this.attempt(['get', umr, '--json'])
    if (code === 5) return undefined
    check(code === 0, `${this.name}$ sealmesh get ${umr} succeeds or finds nothing`, { code, stdout, stderr })
    const answer = ItemView.safeParse(parseJson(stdout))
    if (!answer.success)
      throw new DemoFailure(`${this.name}$ sealmesh get ${umr} --json\n${stdout}\n${answer.error.message}`)
    return answer.data
  }

  async umrs(prefix: string): Promise<string[]> {
    const { items } = await this.call('ls', ['ls', prefix])
    return items.map((item) => `${item.umr} ${item.type}`).toSorted()
  }

  /** Replaces a text through an editor's file, as `sealmesh text edit` takes it. */
  async edit(umr: string, change: (text: string) => string): Promise<void> {
    const before = (await this.text(umr)) ?? ''
    await this.type(['text', 'edit', umr, '--file', '-'], change(before))
  }

  async waitForStatus(
    title: string,
    test: (status: Status) => true | string,
    options: Omit<WaitOptions, 'needs'>,
  ): Promise<void> {
    const look = async () => {
      const seen = test(await this.status())
      return seen === true ? { done: true } : { waiting: seen }
    }
    await waitFor(`${this.name}: ${title}`, look, { ...options, ...(this.#node ? { needs: this.#node } : {}) })
  }

  live(options: Omit<WaitOptions, 'needs'>): Promise<void> {
    const test = ({ relays: [relay] }: Status) =>
      relay?.state === 'live' || (relay === undefined ? 'no relay' : `${relay.state} ${relay.reason ?? ''}`.trim())
    return this.waitForStatus('connected to the relay', test, options)
  }

  inSync(options: Omit<WaitOptions, 'needs'>): Promise<void> {
    const test = (status: Status) => status.summary === 'in sync' || describePeers(status)
    return this.waitForStatus('in sync', test, options)
  }

  /** What this machine's node wrote to its terminal, for the search. */
  get said(): string {
    const { stdout, stderr } = this.#node?.outcome() ?? { stdout: '', stderr: '' }
    return stdout + stderr
  }

  async #tryStatus(): Promise<{ done: Status } | { waiting: string }> {
    const { code, stdout, stderr } = await this.attempt(['status', '--json'])
    const answer = code === 0 ? methods.status.result.safeParse(parseJson(stdout)) : undefined
    return answer?.success ? { done: answer.data } : { waiting: `${stdout}${stderr}`.trim() }
  }
}

const describePeers = (status: Status): string =>
  status.peers
    .map((peer) => `${peer.name} ${peer.state}, ${peer.toSend} to send, ${peer.toReceive ?? '?'} to come`)
    .join('; ') || status.summary

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
