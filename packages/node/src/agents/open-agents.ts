import { join } from 'node:path'
import { agentMethods } from '@sealmesh/protocol/ipc/agent-methods'
import type { Config } from '../config/schema.ts'
import { type Door, type Handlers, serveDoor } from '../ipc/door.ts'
import type { Home } from '../keys/home.ts'
import { claimSocketPath } from '../keys/socket-path.ts'
import { durationMs } from '../drills/schedule.ts'
import { nodeName } from '../service/context.ts'
import { takeSteps } from '../service/sharing.ts'
import type { Store } from '../store/store.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'
import { agentHandlersOf } from './agent-handlers.ts'
import { Traffic } from './core/traffic.ts'
import { Courier, type CourierLink } from './courier.ts'
import { Desk } from './desk.ts'
import { FarMail } from './far-mail.ts'
import { FarRoster } from './far-roster.ts'
import { framedSends } from './framed-send.ts'
import { AGENT_LIMITS, type AgentLimits } from './limits.ts'
import { Mail } from './mail.ts'
import { MessageLogs } from './message-logs.ts'
import { Memory, type MemoryContext } from './memory.ts'
import { agentDoorHandlers } from './owner-handlers.ts'
import { type OwnerLetterHandlers, ownerLetterHandlers } from './owner-letters.ts'
import { OwnRoster } from './own-roster.ts'
import { type TrafficHandlers, trafficHandlers, watchPost } from './traffic.ts'
import { Post } from './post.ts'
import { RegistryFile } from './registry-file.ts'
import { Roster } from './roster.ts'
import { TextPipes } from './text-pipes.ts'
import { Tokens } from './tokens.ts'
import { Trace } from './trace.ts'
import { type TraceHandlers, traceHandlers } from './trace-handlers.ts'
import { tellUndelivered } from './undelivered.ts'

export interface OpenAgentsDeps extends MemoryContext, Pick<CourierLink, 'port' | 'send'> {
  readonly sync: Pick<MeshSync, 'isThere' | 'heard'>
  readonly home: Home
  readonly store: Store
  readonly random: (bytes: number) => Uint8Array
  readonly config: () => Config
  readonly env: NodeJS.ProcessEnv
}

export interface Agents {
  /** For the owner's door. */
  readonly handlers: ReturnType<typeof agentDoorHandlers> & OwnerLetterHandlers & TraceHandlers & TrafficHandlers
  /** Another machine's word about letters. */
  readonly onItem: Courier['onItem']
  /** Opens the door, once the owner's has all that stands behind it, and before it: who is answered there finds both. */
  serve(owners: Pick<Handlers, 'status' | 'why'>): Promise<void>
  close(): Promise<void>
}

/** How often inboxes are looked through for letters whose time is over. */
const SWEEP_MS = 60_000

/** The agents' door of this node, and everything behind it. */
export async function openAgents(deps: OpenAgentsDeps): Promise<Agents> {
  const { home, store, log, node, now, random, config, logger, env } = deps
  const failed = (error: unknown): void => logger.error({ err: error }, "the agents' door could not keep its state")
  const limits: AgentLimits = { ...AGENT_LIMITS, pace: paceOf(config()) }
  const talk = () => config().messages.talk
  const ownName = () => nodeName(log.mesh, node)

  const tokens = await Tokens.load(store)
  const { mail, found } = await Mail.load(store)
  const { farMail, found: far } = await FarMail.load(store)
  const roster = new Roster({ node, mesh: () => log.mesh, tokens, limits, now })
  const farRoster = await FarRoster.load({
    node,
    mesh: () => log.mesh,
    documents: deps.documents,
    isThere: (other) => deps.sync.isThere(other),
    heardAtMs: (other) => deps.sync.heard().find((each) => each.node === other)?.atMs ?? null,
    now,
  })
  const ownRoster = new OwnRoster({
    node,
    mesh: () => log.mesh,
    documents: deps.documents,
    seats: () => roster.everyone(),
    isForAll: () => config().messages.roster === 'mesh',
    lifeMs: () => durationMs(config().messages.roster_life) ?? ROSTER_LIFE_MS,
    share: (agent, steps) => takeSteps(deps, agent, steps),
    now,
    failed,
  })
  log.onChange(() => ownRoster.changed())
  const trace = new Trace({ nodeName: ownName, now })
  const desk = new Desk({ roster, tokens, limits, nodeName: ownName, now })
  const courier = new Courier(
    {
      node,
      mesh: () => log.mesh,
      roster,
      attachedAt: (agent) => farRoster.machinesOf(agent),
      farMail,
      limits,
      trace,
      port: deps.port,
      send: deps.send,
      isThere: (other) => deps.sync.isThere(other),
      receive: (...letter) => post.receive(...letter),
      monotonicMs: () => performance.now(),
      now,
      failed,
    },
    far,
  )
  const monotonicMs = () => performance.now()
  const traffic = new Traffic()
  const logs = await MessageLogs.open({
    folder: join(home.path, 'logs'),
    level: () => config().messages.log,
    now,
    failed: (error) => logger.error({ err: error }, 'what agents say to each other could not be logged'),
  })
  const watch = watchPost({ traffic, logs })
  const deskAndMail = {
    roster,
    mail,
    courier,
    trace,
    talk,
    nodeName: ownName,
    limits,
    random,
    now,
    failed,
    watch,
    monotonicMs,
  }
  const post = new Post(deskAndMail, found)
  const pipes = await TextPipes.open({
    folder: join(home.run, 'pipes'),
    names: Object.entries(config().agents).flatMap(([name, of]) => (of.pipes ? [name] : [])),
    desk,
    post,
    roster,
    tokens,
    log: logger,
    fault: (fault) => logs.fault(fault),
  })
  const registry = new RegistryFile({
    path: join(home.run, 'agents', 'agent_registry.json'),
    // Where agents may not see one another, they must not read it in a file that lies in their folder.
    agents: () => (talk() === 'open' ? [...roster.everyone()].map((seat) => desk.view(seat)) : undefined),
    pipes: (name) => pipes.pathsOf(name),
    failed,
  })
  desk.onNews((event, seat) => {
    if (event === 'left') post.recall(seat)
    registry.changed()
    ownRoster.changed()
  })
  tellUndelivered({ trace, roster, nodeName: ownName })
  const sweeping = setInterval(() => post.sweep(), SWEEP_MS)
  sweeping.unref()

  const memory = new Memory(deps)
  let door: Door | undefined
  return {
    handlers: {
      ...agentDoorHandlers({ log, node, now, desk, post, roster, farRoster, tokens, random }),
      ...ownerLetterHandlers({ desk, post, roster }),
      ...traceHandlers(trace),
      ...trafficHandlers({ roster, desk, traffic, monotonicMs }),
    },
    onItem: (...said) => courier.onItem(...said),
    serve: async (owners) => {
      const socketPath = await claimSocketPath(home, env, 'agents')
      const services = {
        node,
        nodeName: ownName,
        desk,
        post,
        roster,
        farRoster,
        mesh: () => log.mesh,
        memory,
        talk,
        limits,
        owners,
      }
      const handlers = agentHandlersOf(services)
      door = await serveDoor({
        socketPath,
        methods: agentMethods,
        handlers,
        frame: framedSends({ desk, post }),
        log: logger,
        limits: { inFlightMax: limits.callsPerConnection, strangersMax: limits.strangersMax },
      })
      registry.changed()
      // What the last run had no time to take back.
      ownRoster.changed()
    },
    close: async () => {
      clearInterval(sweeping)
      courier.close()
      farRoster.close()
      await door?.close()
      await ownRoster.close()
      await pipes.close()
      await registry.close()
      await logs.close()
    },
  }
}

/** Where the config says none that can be read. */
const ROSTER_LIFE_MS = 15 * 60_000

/** After a pause a sender may catch up with what it did not send in two seconds. */
const paceOf = ({ messages: { rate } }: Config) => ({ perSecond: rate, burst: 2 * rate })
