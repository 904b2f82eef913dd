import type { AgentId } from '@sealmesh/protocol/ids'
import type { Right } from '@sealmesh/protocol/ipc/agent-methods'
import type { MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { Profile } from '@sealmesh/protocol/messages/profile'
import type { DoorContext } from '../ipc/dispatch.ts'
import { Inbox } from './core/inbox.ts'
import { Pace } from './core/pace.ts'
import { Past } from './core/past.ts'
import { Seen } from './core/seen.ts'
import type { AgentLimits } from './limits.ts'

/** A program that is an agent at this moment, by one handle of its connection. */
export interface Attachment {
  readonly as: number
  readonly seat: Seat
  readonly client: DoorContext
  readonly rights: ReadonlySet<Right>
  readonly inbox: 'push' | 'pull' | 'none'
  readonly pid: number | null
  /** Aborted when it detaches. */
  readonly signal: AbortSignal
  watches: number
  /** It waits for its connection to take what was sent. */
  stalled: boolean
}

/** What a sender is told. */
export interface Sent {
  readonly id: string
  readonly delivered: number
  readonly waiting: number
  readonly refused: number
}

/** The place of one agent at this machine: its letters wait here whether or not a program is attached. */
export class Seat {
  readonly id: AgentId
  readonly inbox = new Inbox()
  readonly past = new Past()
  readonly seen = new Seen<Sent | Promise<Sent>>()
  readonly pace: Pace
  /** It hears these until it leaves them, also while its connection is broken. */
  readonly topics = new Set<string>()
  attachment: Attachment | undefined
  /** Programs that are this agent and leave its messages to another. */
  beside = 0
  profile: Profile
  sinceMs: number
  heardAtMs: number | null = null
  /** Of those that wait for a letter with `inbox.take`. */
  readonly wakers = new Set<() => void>()
  /** Of those that wait for one certain letter: each looks at every letter that comes. */
  readonly pickers = new Set<() => void>()
  readonly #agent: () => MeshAgent

  constructor(agent: () => MeshAgent, profile: Profile, limits: AgentLimits, nowMs: number) {
    this.#agent = agent
    this.id = agent().id
    this.profile = profile
    this.pace = new Pace(limits.pace, nowMs)
    this.sinceMs = nowMs
  }

  get agent(): MeshAgent {
    return this.#agent()
  }

  get attached(): boolean {
    return this.attachment !== undefined
  }
}
