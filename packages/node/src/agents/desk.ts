import { setMaxListeners } from 'node:events'
import { Failure } from '@sealmesh/protocol/errors'
import type { AgentId } from '@sealmesh/protocol/ids'
import type { AgentMethodParams, Right } from '@sealmesh/protocol/ipc/agent-methods'
import type { AgentView, Profile } from '@sealmesh/protocol/messages/profile'
import type { DoorContext } from '../ipc/dispatch.ts'
import { iso } from '../service/context.ts'
import type { AgentLimits } from './limits.ts'
import type { Roster } from './roster.ts'
import type { Attachment, Seat } from './seat.ts'
import type { Tokens } from './tokens.ts'

export interface DeskDeps {
  readonly roster: Roster
  readonly tokens: Tokens
  readonly limits: AgentLimits
  readonly nodeName: () => string
  readonly now: () => number
}

export type AgentNews = 'arrived' | 'changed' | 'left'
type Listener = (event: AgentNews, seat: Seat) => void

interface Admission {
  readonly rights: readonly Right[]
  /** As it was before, when absent. */
  readonly profile?: Profile
  readonly pid: number | null
  readonly inbox: 'push' | 'pull' | 'none'
}

interface Here extends Attachment {
  readonly end: AbortController
}

/** Which programs are which agents now. Whoever's connection ends has left, whatever the reason. */
export class Desk {
  readonly #deps: DeskDeps
  readonly #clients = new Map<DoorContext, Map<number, Here>>()
  readonly #wrongTokens = new WeakMap<DoorContext, number>()
  readonly #listeners = new Set<Listener>()
  #nextHandle = 1

  constructor(deps: DeskDeps) {
    this.#deps = deps
  }

  onNews(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Throws AGENT_TOKEN_INVALID, AGENT_ATTACHED, AGENT_LIMIT or CORE_BUSY. */
  attach(client: DoorContext, { token, profile, pid, inbox }: AgentMethodParams<'attach'>): Attachment {
    const held = this.#clients.get(client)
    if ((held?.size ?? 0) >= this.#deps.limits.handlesPerConnection)
      throw new Failure('AGENT_LIMIT', `A connection carries ${this.#deps.limits.handlesPerConnection} agents.`, {
        next: 'open another connection for more',
      })
    const wrong = this.#wrongTokens.get(client) ?? 0
    const mayTry = wrong < this.#deps.limits.wrongTokensMax
    const known = mayTry ? this.#deps.tokens.check(token) : undefined
    const seat = known === undefined ? undefined : this.#deps.roster.seat(known.agent)
    if (known === undefined || seat === undefined) {
      this.#wrongTokens.set(client, wrong + 1)
      if (wrong + 1 >= this.#deps.limits.wrongTokensMax) client.stream?.end?.()
      throw new Failure('AGENT_TOKEN_INVALID', 'This token lets no agent attach to this node.')
    }
    return this.admit(client, seat, { rights: known.rights, profile, pid, inbox })
  }

  /** For whoever has shown otherwise that it may be that agent. Throws AGENT_ATTACHED or CORE_BUSY. */
  admit(client: DoorContext, seat: Seat, { rights, profile, pid, inbox }: Admission): Attachment {
    if (client.signal.aborted) throw new Failure('CORE_BUSY', 'This connection ends.')
    if (inbox !== 'none' && seat.attachment !== undefined) throw attached(seat, seat.attachment)
    if (inbox === 'none' && seat.beside >= this.#deps.limits.besidePerAgent)
      throw new Failure('AGENT_LIMIT', `${this.#deps.limits.besidePerAgent} programs are this agent already.`)
    const end = new AbortController()
    // Each of its waits and watches listens; how many there may be is limited elsewhere.
    setMaxListeners(0, end.signal)
    const here: Here = {
      as: this.#nextHandle++,
      seat,
      client,
      rights: new Set(rights),
      inbox,
      pid,
      signal: end.signal,
      end,
      watches: 0,
      stalled: false,
    }
    this.#handlesOf(client).set(here.as, here)
    client.stream?.known?.(true)
    if (inbox === 'none') {
      seat.beside += 1
      return here
    }
    seat.attachment = here
    if (profile !== undefined) seat.profile = profile
    seat.sinceMs = seat.heardAtMs = this.#deps.now()
    this.#tell('arrived', seat)
    return here
  }

  /** Whoever calls under that handle, with the right that the call needs. Throws NOT_ATTACHED or RIGHT_MISSING. */
  caller(client: DoorContext, as: number, right?: Right): Attachment {
    const here = this.#clients.get(client)?.get(as)
    if (here === undefined) throw new Failure('NOT_ATTACHED', 'No agent is attached under this handle.')
    // This machine may carry it no more: its host list has changed, or its token was taken back, since it attached.
    if (this.#deps.roster.seat(here.seat.id) !== here.seat) {
      this.detach(here)
      throw new Failure('NOT_ATTACHED', `This node may not carry ${here.seat.agent.name} any more.`)
    }
    here.seat.heardAtMs = this.#deps.now()
    if (right !== undefined && !here.rights.has(right))
      throw new Failure('RIGHT_MISSING', `The token of this agent does not allow it to ${right}.`)
    if (right === 'receive' && here.inbox === 'none')
      throw new Failure('USAGE', 'This program is the agent beside another one, which reads its messages.', {
        next: 'attach with "inbox":"push" or "pull"',
      })
    return here
  }

  describe({ seat, inbox }: Attachment, said: AgentMethodParams<'profile.set'>['profile']): void {
    if (inbox === 'none') return
    const defined = Object.entries(said).filter(([, value]) => value !== undefined)
    seat.profile = { ...seat.profile, ...Object.fromEntries(defined) }
    this.#tell('changed', seat)
  }

  detach(attachment: Attachment): void {
    const handles = this.#clients.get(attachment.client)
    const here = handles?.get(attachment.as)
    if (here === undefined) return
    handles?.delete(here.as)
    if (handles?.size === 0) here.client.stream?.known?.(false)
    if (here.inbox === 'none') here.seat.beside -= 1
    here.end.abort()
    if (here.seat.attachment !== here) return
    here.seat.attachment = undefined
    here.seat.sinceMs = this.#deps.now()
    this.#tell('left', here.seat)
  }

  /** Its token is worth nothing any more. */
  dismiss(agent: AgentId): void {
    const all = [...this.#clients.values()].flatMap((handles) => [...handles.values()])
    for (const here of all) if (here.seat.id === agent) this.detach(here)
  }

  view(seat: Seat): AgentView {
    const { attachment, profile } = seat
    return {
      ...profile,
      name: seat.agent.name,
      agent: seat.id,
      nodeName: this.#deps.nodeName(),
      here: true,
      state: attachment === undefined ? 'away' : 'attached',
      pid: attachment?.pid ?? null,
      since: iso(seat.sinceMs),
      heardAt: seat.heardAtMs === null ? null : iso(seat.heardAtMs),
    }
  }

  #handlesOf(client: DoorContext): Map<number, Here> {
    let handles = this.#clients.get(client)
    if (handles === undefined) {
      handles = new Map()
      this.#clients.set(client, handles)
      client.signal.addEventListener('abort', () => this.#hungUp(client), { once: true })
    }
    return handles
  }

  #hungUp(client: DoorContext): void {
    for (const here of [...(this.#clients.get(client)?.values() ?? [])]) this.detach(here)
    this.#clients.delete(client)
  }

  #tell(event: AgentNews, seat: Seat): void {
    for (const listener of this.#listeners) listener(event, seat)
  }
}

function attached(seat: Seat, { pid }: Attachment): Failure {
  const process = pid === null ? 'a process that did not say its id' : `the process ${pid}`
  return new Failure(
    'AGENT_ATTACHED',
    `${seat.agent.name} is attached since ${iso(seat.sinceMs)} by ${process}: one program at a time is one agent.`,
  )
}
