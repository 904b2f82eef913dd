import { uptime } from 'node:os'
import type { Config } from '../config/schema.ts'
import type { Documents } from '../documents/documents.ts'
import type { Happenings } from '../events/happenings.ts'
import type { HomeHealth } from '../health/home-health.ts'
import { agentName } from '../service/context.ts'
import type { Meta } from '../store/meta.ts'
import type { Store } from '../store/store.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'
import type { Relays } from '../uplink/relays.ts'
import type { Logger } from 'pino'
import { ActJournal } from './act-journal.ts'
import { AgentCommands } from './agent-commands.ts'
import { Failover, type FailoverDeps, type FailoverNews } from './failover.ts'
import { blockedWords } from './fenced.ts'
import { LeaseStore } from './lease-store.ts'

interface Parts
  extends Pick<FailoverDeps, 'node' | 'incarnation' | 'signKey' | 'sodium' | 'random' | 'now' | 'log' | 'port'> {
  readonly documents: Documents
  readonly sync: MeshSync
  readonly relays: Relays
  /** By whichever way leads to its reader. */
  readonly send: FailoverDeps['link']['send']
  readonly meta: Meta
  readonly store: Store
  readonly health: HomeHealth
  readonly happenings: () => Happenings
  readonly config: () => Config
  readonly logger: Logger
}

export interface OpenFailover {
  readonly failover: Failover
  readonly journal: ActJournal
  close(): Promise<void>
}

/** Failover with the clocks and dice of this machine, its news told, and the commands of the config run by them. */
export async function openFailover(parts: Parts): Promise<OpenFailover> {
  const { config, happenings, log, logger, relays } = parts
  const journal = new ActJournal(parts.store)
  const commands = new AgentCommands({
    of: (agent) => config().agents[agent],
    env: process.env,
    logger,
  })
  const told = (agent: FailoverNewsAgent, news: FailoverNews): void => {
    const name = agentName(log.mesh, agent)
    if (news.type === 'act-gained') commands.gained(name, news.term.number, news.token)
    if (news.type === 'act-lost') commands.lost(name, news.term)
    const event = eventOf(news)
    if (event !== undefined) happenings().tell(event.type, { agent, layer: null }, event.detail)
  }
  const failover = new Failover({
    ...parts,
    dice: Math.random,
    moment: () => ({ monotonicMs: performance.now(), uptimeMs: uptime() * 1_000 }),
    link: {
      send: parts.send,
      link: (relay) => relays.link(relay),
      names: (relay) => relays.names(relay),
      drained: () => relays.drained(),
    },
    store: await LeaseStore.load(parts.meta),
    journal,
    told,
    stopped: () => commands.stopped(),
  })
  return {
    failover,
    journal,
    close: async () => {
      await failover.close()
      await commands.close()
    },
  }
}

type FailoverNewsAgent = Parameters<FailoverDeps['told']>[0]

function eventOf(news: FailoverNews) {
  switch (news.type) {
    case 'act-gained':
      return { type: 'act-gained' as const, detail: { term: news.term.number, record: news.term.record as string } }
    case 'act-lost':
      return { type: 'act-lost' as const, detail: { term: news.term } }
    case 'outlook': {
      const { outlook } = news
      if (outlook.type === 'proposed') return { type: 'takeover-proposed' as const, detail: {} }
      if (outlook.type === 'blocked')
        return { type: 'takeover-blocked' as const, detail: { why: blockedWords(outlook.why) } }
      if (outlook.type === 'failed')
        return { type: 'takeover-blocked' as const, detail: { why: `it cannot be taken over: ${outlook.code}` } }
      if (outlook.type === 'cooling-down')
        return { type: 'takeover-blocked' as const, detail: { why: 'this node lost two leases within an hour' } }
      return undefined
    }
  }
}
