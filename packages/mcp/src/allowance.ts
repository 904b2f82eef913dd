import { Failure } from '@sealmesh/protocol/errors'
import { parseUmr } from '@sealmesh/protocol/ids'
import type {
  AgentMethodInput,
  AgentMethodName,
  AgentMethodResult,
  Delivery,
} from '@sealmesh/protocol/ipc/agent-methods'
import type { AgentCalls } from './agent-calls.ts'

/**
 * What an owner lets an assistant use of what its agent may. Tools and resources all ask the node through one
 * `AgentCalls`, so a narrower one of these holds for each of them, also for those that are added later.
 */
export interface Allowance {
  /** `name`, `name@machine`, `#topic`, `*`: whom it may write to, and whose words it is shown. */
  readonly peers?: ReadonlySet<string>
  /** `agent.layer`, and whether it may write there. */
  readonly layers?: ReadonlyMap<string, 'read' | 'write'>
}

const NEXT = 'the owner may allow it: sealmesh mcp install --peers LIST --layers LIST'

/** The same agent with less. What it may not use looks like what is not there. */
export function narrowed(agent: AgentCalls, { peers, layers }: Allowance): AgentCalls {
  if (peers === undefined && layers === undefined) return agent
  const rules = new Rules(agent, peers, layers)
  return {
    name: agent.name,
    claimMail: () => agent.claimMail(),
    call: (method, params) => rules.call(method, params),
    // Nobody would ever take it from the inbox, which has a bound.
    onDelivery: (listener) =>
      agent.onDelivery((delivery: Delivery) =>
        rules.mayTalk(delivery.message.from) ? listener(delivery) : Promise.resolve(),
      ),
    watchMemory: async (prefix, listener) => {
      if (rules.prefixes(prefix).includes(prefix)) await agent.watchMemory(prefix, listener)
    },
  }
}

type Params<M extends AgentMethodName> = Omit<AgentMethodInput<M>, 'as'>

class Rules {
  readonly #agent: AgentCalls
  readonly #peers: Allowance['peers']
  readonly #layers: Allowance['layers']

  constructor(agent: AgentCalls, peers: Allowance['peers'], layers: Allowance['layers']) {
    this.#agent = agent
    this.#peers = peers
    this.#layers = layers
  }

  /** An address `name@machine` is allowed by its name as well. */
  mayTalk(address: string): boolean {
    if (this.#peers === undefined || this.#peers.has(address)) return true
    return address.includes('@') && this.#peers.has(address.slice(0, address.indexOf('@')))
  }

  /** What is allowed below a prefix: it, or the allowed layers that begin with it. In the order of their UMRs. */
  prefixes(prefix: string): string[] {
    if (this.#layers === undefined) return [prefix]
    const allowed = [...this.#layers.keys()].map((layer) => `${layer}.`)
    if (allowed.some((layer) => prefix.startsWith(layer))) return [prefix]
    return allowed.filter((layer) => layer.startsWith(prefix)).toSorted()
  }

  async call<M extends AgentMethodName>(method: M, params: Params<M>): Promise<AgentMethodResult<M>> {
    const rule = this.#rules[method]
    // A method that nobody has thought about here is none.
    if (rule === undefined) throw new Failure('RIGHT_MISSING', 'This assistant is not allowed that.', { next: NEXT })
    return (await (rule as (params: Params<M>) => unknown)(params)) as AgentMethodResult<M>
  }

  readonly #rules: { readonly [M in AgentMethodName]?: (params: Params<M>) => Promise<AgentMethodResult<M>> } = {
    status: (params) => this.#agent.call('status', params),
    'agents.ls': async (params) => {
      const { agents } = await this.#agent.call('agents.ls', params)
      return {
        agents: agents.filter(({ name, nodeName }) => name === this.#agent.name || this.mayTalk(`${name}@${nodeName}`)),
      }
    },
    send: (params) => {
      if (this.mayTalk(params.to)) return this.#agent.call('send', params)
      throw new Failure('AGENT_UNKNOWN', 'There is no such agent that this one may write to.', { next: NEXT })
    },
    'memory.get': async (params) =>
      this.#mayReach(params.umr, 'read') ? this.#agent.call('memory.get', params) : { item: null },
    'memory.why': async (params) =>
      this.#mayReach(params.umr, 'read') ? this.#agent.call('memory.why', params) : { machines: [] },
    'memory.set': (params) => this.#agent.call('memory.set', this.#writable(params)),
    'memory.text': (params) => this.#agent.call('memory.text', this.#writable(params)),
    'memory.rm': (params) => this.#agent.call('memory.rm', this.#writable(params)),
    'memory.ls': async (params) => {
      const items: AgentMethodResult<'memory.ls'>['items'] = []
      for (const prefix of this.prefixes(params.prefix ?? '')) {
        const page = await this.#agent.call('memory.ls', { ...params, prefix })
        items.push(...page.items)
        // What comes behind is asked for with the next page.
        if (page.truncated) return { items, truncated: true }
      }
      return { items, truncated: false }
    },
    /** Layer by layer: a search over more would rank by what this assistant may not see. */
    'memory.search': async (params) => {
      const hits: AgentMethodResult<'memory.search'>['hits'] = []
      for (const prefix of this.prefixes(params.prefix ?? ''))
        hits.push(...(await this.#agent.call('memory.search', { ...params, prefix })).hits)
      return { hits: hits.toSorted((a, b) => b.score - a.score).slice(0, params.limit) }
    },
  }

  #mayReach(umr: string, access: 'read' | 'write'): boolean {
    const parts = parseUmr(umr)
    // The node says what is wrong with it.
    if (this.#layers === undefined || parts === undefined) return true
    const allowed = this.#layers.get(`${parts.agent}.${parts.region}`)
    return allowed === 'write' || (access === 'read' && allowed === 'read')
  }

  #writable<P extends { readonly umr: string }>(params: P): P {
    if (this.#mayReach(params.umr, 'write')) return params
    throw new Failure('NOT_A_WRITER', 'This assistant may not write there.', { next: NEXT })
  }
}
