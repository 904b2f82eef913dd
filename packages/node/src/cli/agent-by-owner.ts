import type { AgentPort } from '@sealmesh/agent/agent-port'
import { Failure } from '@sealmesh/protocol/errors'
import type { MethodResult } from '@sealmesh/protocol/ipc/methods'
import type { Message } from '@sealmesh/protocol/messages/message'
import type { DoorSession } from './session.ts'

/**
 * One question to the node lasts no longer; what is waited for longer is asked again. So much longer the node takes this
 * for the agent when the command was killed.
 */
const ASK_MS = 5_000
const LIST_MAX = 10_000

type Listener = Parameters<AgentPort['onDelivery']>[0]
/** JSON of a register, once it is durable. */
type Written = (umr: string, value: string) => void

interface Wanted {
  readonly as: string | undefined
  /** Whether it keeps registers of its own, which have one writer: where the agent is held. */
  readonly keeps: boolean
  /** What it can do, for as long as this lasts. */
  readonly capabilities?: readonly string[]
}

export interface AgentByOwner {
  readonly port: AgentPort
  /**
   * From now on hears what is said about one task, vote or auction, or of one type; the rest of the inbox stays as it
   * is. Ends only by throwing, when the node cannot be asked any more.
   */
  hear(which: { readonly to: string } | { readonly type: string }): Promise<never>
  /** As if it had come now. */
  deliver(message: Message): Promise<void>
  onWritten(listener: Written): void
  leave(): Promise<void>
}

/** Is that agent for as long as `action` lasts: `agentByOwner` says what it throws. */
export async function asAgentOf<T>(
  session: DoorSession,
  wanted: Wanted,
  action: (agent: AgentByOwner) => Promise<T>,
): Promise<T> {
  const agent = await agentByOwner(session, wanted)
  const leave = (): void => void agent.leave()
  // Ctrl-C: before the connection is closed, which alone would keep the agent until its last question is answered.
  session.signal.addEventListener('abort', leave, { once: true })
  try {
    return await action(agent)
  } finally {
    session.signal.removeEventListener('abort', leave)
    await agent.leave()
  }
}

/**
 * An agent of this machine as the owner's command line is it, for one pattern at a time: the agent's own messages and
 * memory, by the methods of the owner's door. No program may be that agent meanwhile: both would record what happens.
 * Throws AGENT_ATTACHED, AGENT_TOKEN_INVALID, USAGE, NOT_THE_HOLDER.
 */
async function agentByOwner(session: DoorSession, wanted: Wanted): Promise<AgentByOwner> {
  const { door } = session
  // Is that agent until the connection ends; refused while a program is.
  const { as } = await door.call('messages.take', {
    ...(wanted.as === undefined ? {} : { as: wanted.as }),
    ...(wanted.capabilities === undefined ? {} : { capabilities: [...wanted.capabilities] }),
    limit: 0,
  })
  session.subject.agent = as
  if (wanted.keeps) await requireHolder(session, as)
  const listeners = new Set<Listener>()
  const writers = new Set<Written>()
  const deliver = async (message: Message): Promise<void> => {
    await Promise.all([...listeners].map(async (listener) => listener({ place: 0, message })))
  }
  const port: AgentPort = {
    name: as,
    send: ({ causedBy, payload, ...draft }) =>
      door.call('messages.send', {
        ...draft,
        as,
        payload: (payload ?? null) as Message['payload'],
        ...(causedBy === undefined ? {} : { hops: causedBy.hops + 1, parents: [causedBy.id] }),
      }),
    onDelivery: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    agents: async ({ capability, role } = {}) => {
      const isWanted = (each: MethodResult<'agents.here'>['agents'][number]): boolean =>
        (capability === undefined || each.capabilities.includes(capability)) &&
        (role === undefined || each.role === role)
      return (await door.call('agents.here', {})).agents.filter(isWanted)
    },
    // It is a person at a terminal, for a moment: what a program said of the agent stays.
    describe: async () => undefined,
    read: async (umr) => {
      const { item } = await door.call('get', { umr })
      return item?.type === 'register' ? item.value : undefined
    },
    list: async (prefix) => (await door.call('ls', { prefix, limit: LIST_MAX })).items.map(({ umr }) => umr),
    write: async (umr, value) => {
      await door.call('set', { umr, value, newLayer: true })
      for (const tell of writers) tell(umr, value)
    },
    remove: async (umr) => void (await door.call('rm', { umr })),
  }
  let left = false
  const listen: AgentByOwner['hear'] = async (which) => {
    for (;;) {
      if (left) return new Promise<never>(() => undefined)
      const { message } = await door.call('messages.answer', { as, ...which, waitMs: ASK_MS })
      if (message !== null) await deliver(message)
    }
  }
  const hear: AgentByOwner['hear'] = (which) => {
    const hearing = listen(which)
    // It ends with the connection, whether or not anybody waits for it then.
    hearing.catch(() => undefined)
    return hearing
  }
  const leave = async (): Promise<void> => {
    left = true
    // Where the connection has ended already, so has this.
    await door.call('messages.leave', { as }).catch(() => undefined)
  }
  return { port, hear, deliver, leave, onWritten: (listener) => void writers.add(listener) }
}

/** Its registers have one writer, and that is on the machine that holds the agent. */
async function requireHolder({ door, command }: DoorSession, name: string): Promise<void> {
  const agent = (await door.call('agents.ls', {})).agents.find((each) => each.name === name)
  if (agent === undefined || agent.holdsHere) return
  throw new Failure('NOT_THE_HOLDER', `${name} is held by ${agent.holder ?? 'nobody'}: it acts there.`, {
    next: `run it there, or move the agent here: ${command(`takeover ${name}`)}`,
  })
}
