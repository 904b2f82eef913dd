import { toHex, fromHex } from '@sealmesh/protocol/bytes'
import { Failure } from '@sealmesh/protocol/errors'
import { parseToken, verifyToken } from '@sealmesh/protocol/failover/authority'
import { type NodeId, parseId, type RelayId } from '@sealmesh/protocol/ids'
import { WITNESSES_MAX } from '@sealmesh/protocol/limits'
import type { MethodResult, Status } from '@sealmesh/protocol/ipc/methods'
import { readersOf } from '@sealmesh/protocol/membership/access'
import type { MeshAgent } from '@sealmesh/protocol/membership/mesh'
import type { Failover } from '../failover/failover.ts'
import { blockedWords, NO_ACT_WORDS } from '../failover/fenced.ts'
import type { Handlers } from '../ipc/door.ts'
import type { HomeHealth } from '../health/home-health.ts'
import { relayNamed } from '../uplink/relay-list.ts'
import type { Relays } from '../uplink/relays.ts'
import { agentName, agentNamed, nodeName, nodeNamed, type ServiceContext, signAsHolder } from './context.ts'

export interface FailoverServices {
  readonly failover: Failover
  readonly relays: Pick<Relays, 'preferred' | 'names'>
  readonly health: Pick<HomeHealth, 'facts'>
}

/** Leases, modes, handing over: who may act for an agent, and what a person may say about it. */
export function failoverHandlers(
  context: ServiceContext & FailoverServices,
): Pick<
  Handlers,
  'must-hold' | 'must-hold.check' | 'failover.set' | 'failover.status' | 'witness.set' | 'handover' | 'release'
> {
  const { failover, log } = context
  return {
    'must-hold': async ({ agent: name, act }) => {
      const agent = agentNamed(log.mesh, name)
      const granted = await failover.grantAct(agent.id, act === undefined ? undefined : fromHex(act))
      const { number, record } = granted.term
      const { token, witnessed } = granted
      return { agent: agent.name, term: number, record, witnessed, act: toHex(granted.act), token }
    },

    'must-hold.check': ({ token: text }) => {
      const token = parseToken(text)
      if (!token.ok) return { verdict: 'bad', agent: null, nodeName: null, term: null, act: null }
      const { agent, node, term, act } = token.value
      return {
        verdict: verifyToken(token.value, log.mesh, context.sodium),
        agent: agentName(log.mesh, agent),
        nodeName: nodeName(log.mesh, node),
        term,
        act: toHex(act),
      }
    },

    'failover.set': async ({ agent: name, mode, durability }) => {
      const agent = agentNamed(log.mesh, name)
      const wanted = { mode: mode ?? agent.failover.mode, durability: durability ?? agent.failover.durability }
      if (wanted.mode === 'auto' && log.mesh.witness === null)
        throw new Failure(
          'WITNESS_NEEDED',
          'No relay of this mesh keeps leases, so that two machines could act at once.',
        )
      if (wanted.mode === agent.failover.mode && wanted.durability === agent.failover.durability)
        return { agent: agent.name, ...wanted, record: agent.failover.record }
      const { hash } = await signAsHolder(context, agent, { type: 'failover', agent: agent.id, ...wanted })
      return { agent: agent.name, ...wanted, record: hash }
    },

    'failover.status': ({ agent: name }) => {
      const { witness } = log.mesh
      const agents = name === undefined ? [...log.mesh.agents.values()] : [agentNamed(log.mesh, name)]
      return {
        witness: witness === null ? null : { ...wordsOf(witness), inUse: isReached(witness, context) },
        released: failover.own.isReleased,
        agents: agents.map((agent) => agentRow(context, agent)).toSorted((a, b) => (a.agent < b.agent ? -1 : 1)),
      }
    },

    'witness.set': async ({ profile, relays: named }) => {
      const relays = named === undefined ? inUse(context) : named.map((each) => relayNamed(log.mesh.relays, each).relay)
      const isCount = relays.length === 1 || relays.length === WITNESSES_MAX
      if (!isCount || new Set(relays).size !== relays.length)
        throw new Failure('USAGE', `Leases are kept by one relay, or by ${WITNESSES_MAX} different ones.`, {
          next: 'sealmesh relay ls shows which the mesh has',
        })
      const by = { type: 'node', node: context.node } as const
      const record = await log.append({ type: 'witness', relays, profile }, by, context.signKey)
      return { relays: relays.map((relay) => `relay_${relay}`), profile, record: record.hash }
    },

    handover: async ({ agent: name, to }) => {
      const agent = agentNamed(log.mesh, name)
      if (agent.term?.holder !== context.node)
        throw new Failure('NOT_THE_HOLDER', `${agent.name} is held by another node, and only its holder hands it over.`)
      const successor = to === undefined ? nextHost(context, agent) : hostNamed(context, to)
      const startedMs = performance.now()
      const term = await failover.handover.run(agent.id, successor)
      const holder = nodeName(log.mesh, term.holder)
      const tookMs = Math.round(performance.now() - startedMs)
      return { agent: agent.name, term: term.number, holder, record: term.record, tookMs }
    },

    release: async ({ undo }) => {
      if (undo) {
        failover.own.resume()
        return { released: false }
      }
      if (!(await failover.release()))
        throw new Failure(
          'RELAY_UNREACHABLE',
          'The relay did not take the word that leases are let go of. Nothing is done under them here; others wait until they run out.',
          { next: 'sealmesh release once the relay answers, or sealmesh release --undo to go on here' },
        )
      return { released: true }
    },
  }
}

/** Whether this node has links to as many of them as decide. */
const isReached = ({ relays }: { readonly relays: readonly RelayId[] }, context: Pick<FailoverServices, 'relays'>) =>
  relays.filter((relay) => context.relays.names(relay)).length * 2 > relays.length

function inUse({ relays: { preferred } }: Pick<FailoverServices, 'relays'>): RelayId[] {
  if (preferred === undefined) throw new Failure('RELAY_UNREACHABLE', 'This mesh has no relay that could keep leases.')
  return [preferred]
}

const wordsOf = ({ relays, profile }: NonNullable<ServiceContext['log']['mesh']['witness']>) => ({
  relays: relays.map((relay) => `relay_${relay}`),
  profile,
})

/** The first other host that may read what a holder writes. */
function nextHost({ log: { mesh }, node }: ServiceContext, agent: MeshAgent): NodeId {
  const readers = readersOf(mesh, agent.id, 'session')
  const next = agent.hosts.find((host) => host !== node && readers.includes(host))
  if (next !== undefined) return next
  throw new Failure('NOT_SHARED', `No other host of ${agent.name} reads its session layer.`, {
    next: `sealmesh share set ${agent.name} session=standby`,
  })
}

const hostNamed = ({ log: { mesh } }: ServiceContext, named: string): NodeId =>
  parseId('node', named) ?? nodeNamed(mesh, named).id

/** Agents that should go on by themselves, and do not or could not. */
export function failoverWarnings(
  context: Pick<ServiceContext, 'log' | 'node'> & Pick<FailoverServices, 'failover' | 'health'>,
): Status['warnings'] {
  const warnings: Status['warnings'] = []
  for (const agent of context.log.mesh.agents.values()) {
    if (agent.failover.mode === 'manual') continue
    const { state, why, agent: name } = agentRow(context, agent)
    if (state === 'fenced') warnings.push({ code: 'FENCED', message: `nothing is done for ${name} here: ${why}` })
    if (state === 'blocked')
      warnings.push({ code: 'TAKEOVER_BLOCKED', message: `this machine does not take ${name} over by itself: ${why}` })
    if (state === 'candidate')
      warnings.push({ code: 'TAKEOVER_BLOCKED', message: `${name} waits for a person: ${why}` })
  }
  return warnings
}

type Row = MethodResult<'failover.status'>['agents'][number]

function agentRow(
  {
    log: { mesh },
    node,
    failover,
    health,
  }: Pick<ServiceContext, 'log' | 'node'> & Pick<FailoverServices, 'failover' | 'health'>,
  agent: MeshAgent,
): Row {
  const { mode, durability } = agent.failover
  const base = {
    agent: agentName(mesh, agent.id),
    mode,
    durability,
    holder: agent.term === null ? null : nodeName(mesh, agent.term.holder),
    term: agent.term?.number ?? 0,
    may: false,
    witnessed: false,
    waitsFor: failover.waitsFor(agent.id).map((each) => nodeName(mesh, each)),
  }
  if (agent.term?.holder === node) {
    const judged = failover.mustHold(agent.id)
    if (judged.ok) return { ...base, state: 'active', may: true, witnessed: judged.value.witnessed, why: null }
    const why = NO_ACT_WORDS[judged.error]
    const state = judged.error === 'DRAINING' ? 'draining' : judged.error === 'CATCHING_UP' ? 'catch-up' : 'fenced'
    return { ...base, state: health.facts.rolledBack === null ? state : 'rolled-back', why }
  }
  if (!agent.hosts.includes(node)) return { ...base, state: 'observer', why: null }
  const outlook = failover.standby.outlookOf(agent.id)
  switch (outlook.type) {
    case 'watching':
      return { ...base, state: 'standby', why: null }
    case 'not-listed':
      return { ...base, state: 'standby', why: 'its holder lists it in no lease' }
    case 'proposed':
      return { ...base, state: 'candidate', why: `its holder's lease is over: sealmesh takeover ${base.agent}` }
    case 'blocked':
      return { ...base, state: 'blocked', why: blockedWords(outlook.why) }
    case 'cooling-down':
      return { ...base, state: 'blocked', why: 'this node lost two leases within an hour' }
    case 'failed':
      return { ...base, state: 'blocked', why: `it cannot be taken over: ${outlook.code}` }
    case 'witness-forgot':
      return {
        ...base,
        state: 'blocked',
        why: 'the witness has forgotten leases, and not every host has been heard since',
      }
  }
}
