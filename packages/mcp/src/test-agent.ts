import type {
  AgentMethodInput,
  AgentMethodName,
  AgentMethodResult,
  Delivery,
} from '@sealmesh/protocol/ipc/agent-methods'
import type { Message } from '@sealmesh/protocol/messages/message'
import type { AgentCalls } from './agent-calls.ts'

/** An agent without a node: keeps what it was asked, answers what a test has given it to answer. */
export class TestAgent implements AgentCalls {
  readonly name: string
  readonly asked: { method: string; params: unknown }[] = []
  readonly #answers = new Map<string, unknown>()
  readonly #listeners = new Set<(delivery: Delivery) => Promise<void>>()
  readonly #watched: { readonly prefix: string; readonly listener: () => void }[] = []
  /** Ids of messages that need not come again, in that order. */
  readonly done: string[] = []

  constructor(name: string) {
    this.name = name
  }

  answers<M extends AgentMethodName>(method: M, result: AgentMethodResult<M>): void {
    this.#answers.set(method, result)
  }

  refuses(method: AgentMethodName, failure: Error): void {
    this.#answers.set(method, failure)
  }

  calls(method: AgentMethodName): unknown[] {
    return this.asked.filter((each) => each.method === method).map(({ params }) => params)
  }

  deliver(delivery: Delivery): void {
    for (const listener of this.#listeners) void listener(delivery).then(() => this.done.push(delivery.message.id))
  }

  async call<M extends AgentMethodName>(
    method: M,
    params: Omit<AgentMethodInput<M>, 'as'>,
  ): Promise<AgentMethodResult<M>> {
    this.asked.push({ method, params })
    const answer = this.#answers.get(method) ?? {}
    if (answer instanceof Error) throw answer
    return answer as AgentMethodResult<M>
  }

  async claimMail(): Promise<boolean> {
    return true
  }

  onDelivery(listener: (delivery: Delivery) => Promise<void>): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async watchMemory(prefix: string, listener: () => void): Promise<void> {
    this.#watched.push({ prefix, listener })
  }

  changeMemory(umr: string): void {
    for (const { prefix, listener } of this.#watched) if (umr.startsWith(prefix)) listener()
  }
}

export const deliveryOf = (place: number, message: Partial<Message> = {}): Delivery => ({
  place,
  message: {
    version: 1,
    id: `m${place}`,
    from: 'codex@office',
    to: 'claude',
    type: 'text',
    priority: 1,
    correlation: null,
    sentAt: '2026-11-22T12:00:00.000Z',
    expiresAt: null,
    hops: 0,
    parents: [],
    durable: true,
    payload: 'hello',
    ...message,
  },
})
