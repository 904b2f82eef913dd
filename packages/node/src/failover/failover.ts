import { Failure } from '@sealmesh/protocol/errors'
import { ACT_ID_BYTES, type NoAct, signToken } from '@sealmesh/protocol/failover/authority'
import type { Moment } from '@sealmesh/protocol/failover/elapsed'
import { type LeaseKey, leaseKeyOf } from '@sealmesh/protocol/failover/lease-blob'
import type { LeaseListing } from '@sealmesh/protocol/failover/lease-listing'
import { NodeLease, type Wanted } from '@sealmesh/protocol/failover/node-lease'
import { prefixOf } from '@sealmesh/protocol/failover/prefix'
import { LEASE_TIMINGS, type LeaseTiming } from '@sealmesh/protocol/failover/timing'
import type { AgentId, IncarnationId, NodeId, RecordHash, RelayId } from '@sealmesh/protocol/ids'
import type { Secret } from '@sealmesh/protocol/keys'
import type { MeshAgent, Term } from '@sealmesh/protocol/membership/mesh'
import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import type { Result } from '@sealmesh/protocol/result'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { FailoverItem } from '@sealmesh/protocol/sync/payload'
import type { Standing } from '@sealmesh/protocol/sync/peer-sync'
import type { Logger } from 'pino'
import type { Documents } from '../documents/documents.ts'
import type { HomeHealth } from '../health/home-health.ts'
import type { LogKeeper } from '../membership/log-keeper.ts'
import type { PacketPort } from '../sync/packet-port.ts'
import type { LinkEvent, Via } from '../uplink/link-event.ts'
import type { RelayLink } from '../uplink/relay-link.ts'
import type { ActJournal } from './act-journal.ts'
import { Acting } from './acting.ts'
import { Asking } from './asking.ts'
import { CatchingUp } from './catching-up.ts'
import { fencedBy } from './fenced.ts'
import { Handover } from './handover.ts'
import type { LeaseStore } from './lease-store.ts'
import { hasHeardOf, NamedWitness } from './named-witness.ts'
import { OwnRegister } from './own-register.ts'
import { type Outlook, Standby } from './standby.ts'
import { FailoverTalk } from './talk.ts'
import { Taker, type TakerDeps } from './taker.ts'
import { within } from './within.ts'
import { WitnessMemory } from './witness-memory.ts'
import type { SlotSeen, Witness } from './witness.ts'

export interface FailoverDeps {
  readonly node: NodeId
  readonly incarnation: IncarnationId
  readonly signKey: Secret<'sign'>
  readonly sodium: Sodium
  readonly random: (bytes: number) => Uint8Array
  readonly dice: () => number
  readonly moment: () => Moment
  readonly now: () => number
  readonly log: LogKeeper
  readonly documents: Pick<Documents, 'names' | 'open'>
  readonly sync: {
    settled(): Promise<boolean>
    standings(node: NodeId): readonly Standing[]
    heard(): readonly { readonly node: NodeId; readonly atMs: number | null }[]
    quietly: TakerDeps['quietly']
  }
  readonly port: Pick<PacketPort, 'seal'>
  readonly link: {
    send(packet: Uint8Array): 'sent' | 'full' | 'down'
    /** The link to one of the relays that the log names, while it is live. */
    link(relay: RelayId): Pick<RelayLink, 'slot'> | undefined
    names(relay: RelayId): boolean
    /** Resolves when all that lay at live relays has been delivered. */
    drained(): Promise<void>
  }
  readonly store: LeaseStore
  readonly journal: Pick<ActJournal, 'add'>
  readonly health: Pick<HomeHealth, 'facts' | 'rolledBack'>
  /** The agent gained or lost the right to act here. */
  readonly told: (agent: AgentId, news: FailoverNews) => void
  /** Resolves when what acted for agents that lost the right has ended. */
  readonly stopped?: () => Promise<void>
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>
  /** For tests; the relays that the mesh's record names otherwise. */
  readonly witness?: () => Witness | null
}

export type FailoverNews =
  | { readonly type: 'act-gained'; readonly term: Term; readonly token: string }
  | { readonly type: 'act-lost'; readonly term: number }
  | { readonly type: 'outlook'; readonly outlook: Outlook }

export interface Granted {
  readonly term: Term
  readonly witnessed: boolean
  readonly act: Uint8Array
  readonly token: string
}

/** A node's part in who may act for which agent (docs/spec/12-failover.md): its own lease, those of others, its word. */
export class Failover implements LeaseListing {
  readonly #deps: FailoverDeps
  readonly lease: NodeLease
  readonly own: OwnRegister
  readonly standby: Standby
  readonly taker: Taker
  readonly acting: Acting
  readonly handover: Handover
  readonly #talk: FailoverTalk
  readonly #asking: Asking
  readonly #acted = new Map<AgentId, number>()
  readonly #catchingUp: CatchingUp
  readonly #memory: WitnessMemory
  readonly #named: NamedWitness
  #aheadRaised = false
  #key: LeaseKey | null = null
  #closed = false

  constructor(deps: FailoverDeps) {
    this.#deps = deps
    const { node, sodium, store, log, random, moment, sync } = deps
    const monotonicMs = (): number => moment().monotonicMs
    const common = {
      node,
      sodium,
      store,
      log,
      random,
      moment,
      monotonicMs,
      mesh: () => log.mesh,
      witness: () => this.#witness(),
      timing: () => this.timing,
      key: () => this.#leaseKey(),
      heard: (seen: SlotSeen) => this.#heard(seen),
      rolledBack: () => deps.health.facts.rolledBack !== null,
      standings: (peer: NodeId) => sync.standings(peer),
      failed: (error: unknown) => this.#failed(error),
    }
    this.#memory = new WitnessMemory(store)
    this.#named = new NamedWitness({
      mesh: () => log.mesh,
      link: deps.link,
      key: () => this.#leaseKey(),
      before: () => this.lease.memory.witness,
      sodium,
      random,
      dice: deps.dice,
    })
    this.lease = new NodeLease(node, deps.incarnation, store.memory)
    this.#talk = new FailoverTalk({ port: deps.port, send: (packet) => deps.link.send(packet), random })
    this.#asking = new Asking({
      ...common,
      lease: this.lease,
      talk: this.#talk,
      renew: () => this.own.renew(),
      wantsChange: () => this.#wantsChange(),
      forget: () => this.standby.forget(),
      logger: deps.logger,
    })
    this.acting = new Acting({
      ...common,
      lease: this.lease,
      hasWitness: () => this.#isWitnessed(),
      isProven: (agent) => this.#isProven(agent),
      isQuarantined: () => false,
      confirm: () => void this.own.renew(),
      changed: (agent, may) => this.#mayChanged(agent, may),
    })
    this.own = new OwnRegister({
      ...common,
      lease: this.lease,
      wanted: () => this.#wanted(),
      handed: () => this.handover.handed,
      isKnown: ({ agent, term, record }) => this.#knowsTaking(agent, term, record),
      holderBefore: (agent) => this.#holderBefore(agent),
      ahead: () => this.#ahead(),
      broken: () => store.noteFailure(deps.now()),
      won: (sent, continued) => this.#won(sent, continued),
      leftOut: (agents) => this.acting.leaveOut(agents),
    })
    const { stopped } = deps
    this.handover = new Handover({
      ...common,
      ...(stopped && { stopped }),
      lease: this.lease,
      own: this.own,
      acting: this.acting,
      talk: this.#talk,
      names: () => deps.documents.names(),
    })
    const drained = (waitMs: number): Promise<boolean> => this.#drained(waitMs)
    this.#catchingUp = new CatchingUp({ ...common, lease: this.lease, acting: this.acting, talk: this.#talk, drained })
    this.taker = new Taker({
      ...common,
      signKey: deps.signKey,
      documents: deps.documents,
      drained,
      quietly: (work) => sync.quietly(work),
      isHeard: (peer) => sync.heard().some(({ node, atMs }) => node === peer && atMs !== null),
      taken: (_, record) => this.#taken(record),
      look: (owner) => this.standby.look(owner, true),
      isTrusted: (agent, owner, watched) => this.standby.isTrusted(agent, owner, watched),
      monotonicMs,
    })
    this.standby = new Standby({
      ...common,
      lease: this.lease,
      taker: this.taker,
      doubt: this.#asking.doubt,
      dice: deps.dice,
      now: deps.now,
      outlookChanged: (agent, outlook) => deps.told(agent, { type: 'outlook', outlook }),
    })
  }

  /** Once the log and the link are there. */
  start(): void {
    this.acting.start()
    this.standby.start()
    void this.own.renew()
    this.#asking.start()
  }

  /** Releases the lease first, so that nobody has to wait for it to run out. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#asking.close()
    this.standby.close()
    await this.release().catch(() => false)
    this.acting.close()
    this.#catchingUp.close()
    this.own.close()
    this.acting.review()
  }

  /** Lets go of all that is leased here, once nothing acts for it any more. False when the register may not say so. */
  async release(): Promise<boolean> {
    const { timing } = this
    if (timing === null) return false
    const now = this.#deps.moment()
    const held = [...this.#deps.log.mesh.agents.keys()].filter((agent) => this.lease.holds(agent, now) !== undefined)
    for (const agent of held) this.acting.freeze(agent)
    await this.#deps.stopped?.()
    const released = await within(timing.retryMs, this.own.release()).catch(() => false)
    for (const agent of held) this.acting.thaw(agent)
    return released
  }

  /** Null without a witness. */
  get timing(): LeaseTiming | null {
    const { witness } = this.#deps.log.mesh
    return witness === null ? null : LEASE_TIMINGS[witness.profile]
  }

  /** Whether this node may act as the agent in this very tick, and under which term. */
  mustHold(agent: AgentId): Result<{ readonly term: Term; readonly witnessed: boolean }, NoAct> {
    return this.acting.judge(agent)
  }

  /** A token for one act, in the journal before it is given away. Throws FENCED and NOT_THE_HOLDER. */
  async grantAct(agent: AgentId, act = this.#deps.random(ACT_ID_BYTES)): Promise<Granted> {
    const asked = this.#mustHold(agent)
    const { term } = asked
    await this.#deps.journal.add(agent, { act, term: term.number, record: term.record, atMs: this.#deps.now() })
    // Writing it down took time.
    const now = this.#mustHold(agent)
    if (now.term.record !== term.record) throw new Failure('FENCED', 'The term has changed at this moment.')
    return { term, witnessed: now.witnessed, act, token: this.#tokenFor(agent, term, act) }
  }

  /** Why nothing is to be written under the agent's term now; null when it may be. */
  readonly fence = (agent: AgentId): Failure | null => {
    const judged = this.mustHold(agent)
    return judged.ok ? null : fencedBy(judged.error)
  }

  meshChanged(): void {
    this.handover.review()
    this.acting.review()
    if (this.#wantsChange()) void this.own.renew()
  }

  onLinkEvent(event: LinkEvent): void {
    this.#talk.onLinkEvent(event)
  }

  /** What the link to one relay says of itself. */
  onRelay(relay: RelayId, event: LinkEvent): void {
    if (event.type !== 'live') return
    // Also of a relay that was put back and has kept its generation: its counter of sessions fell.
    if (event.newGeneration && hasHeardOf(relay, this.lease.memory.witness))
      this.#memory.forgot().catch((error: unknown) => this.#failed(error))
    void this.own.renew()
  }

  /** `heard` runs when that node has answered under log heads that are known here; `via`: the way by which that came. */
  askHeads(to: NodeId, heard: (via: Via | undefined) => void): void {
    const [agent] = this.#deps.log.mesh.agents.keys()
    if (agent !== undefined) this.#talk.askHeads(to, agent, heard)
  }

  onItem(from: NodeId, item: FailoverItem, lacksRecords: boolean, via?: Via): void {
    // Who lacks something that the asker knows says nothing yet: he asks again.
    if (item.word === 'heads?') return lacksRecords ? undefined : this.#talk.say(from, 'heads', item.agent, item.nonce)
    if (item.word === 'heads') return this.#talk.heardHeads(item, lacksRecords, via)
    this.#takeHanded(from, item.agent).catch((error: unknown) => this.#failed(error))
  }

  /**
   * A person says that nobody else acts for it: this node may list it although the witness forgot, or somebody took it
   * and is gone. Throws FENCED where that moved no term and still does not let it act; catching up is on the way there.
   */
  async byWord(agentId: AgentId, reason: string): Promise<void> {
    const { log, node } = this.#deps
    const term = () => log.mesh.agents.get(agentId)?.term
    const isGone = term()?.holder !== node || this.lease.isTaken(agentId, term()!.number)
    if (isGone) await this.taker.byLog(agentId, reason, true)
    this.#asking.byWord(agentId)
    const renewed = this.own.renew()
    if (isGone) return
    await renewed
    const judged = this.mustHold(agentId)
    if (!judged.ok && judged.error !== 'CATCHING_UP') throw fencedBy(judged.error)
  }

  listedSync(agent: AgentId): RecordHash | null {
    return this.lease.holds(agent, this.#deps.moment())?.sync ?? null
  }

  relistSoon(_agent: AgentId): void {
    void this.own.renew()
  }

  mayAcknowledge(agent: AgentId): boolean {
    const judged = this.mustHold(agent)
    return judged.ok || (judged.error === 'DRAINING' && this.lease.holds(agent, this.#deps.moment()) !== undefined)
  }

  /** Whom an agent waits for before it may be listed again, after the witness forgot. */
  waitsFor(agent: AgentId): NodeId[] {
    return this.#asking.waitsFor(agent)
  }

  #mustHold(agent: AgentId): { readonly term: Term; readonly witnessed: boolean } {
    const judged = this.mustHold(agent)
    if (!judged.ok) throw fencedBy(judged.error)
    return judged.value
  }

  #tokenFor(agent: AgentId, { number, record }: Term, act: Uint8Array): string {
    const { log, node, signKey, sodium } = this.#deps
    return signToken({ mesh: log.mesh.id, agent, node, term: number, record, act }, signKey, sodium)
  }

  #witness(): Witness | null {
    const { witness } = this.#deps.log.mesh
    if (witness === null) return null
    if (this.#deps.witness !== undefined) {
      const other = this.#deps.witness()
      return other && this.#memory.over(other)
    }
    const named = this.#named.get()
    return named && this.#memory.over(named)
  }

  #isWitnessed(): boolean {
    if (this.#deps.log.mesh.witness === null) return false
    return this.#deps.witness !== undefined || this.#named.isReachable
  }

  #leaseKey(): LeaseKey | null {
    if (this.#key !== null) return this.#key
    const { mesh } = this.#deps.log
    for (const [hash, { body }] of mesh.records)
      if (body.type === 'found' && !mesh.voided.has(hash)) {
        this.#key = leaseKeyOf(mesh.id, hash, this.#deps.sodium)
        break
      }
    return this.#key
  }

  #leased(): MeshAgent[] {
    return [...this.#deps.log.mesh.agents.values()].filter(({ failover }) => failover.mode !== 'manual')
  }

  /** Null while this home does not know what it has written: it claims nothing. */
  #wanted(): Wanted[] | null {
    const { node, health } = this.#deps
    if (health.facts.rolledBack !== null || this.timing === null) return null
    return this.#leased()
      .filter(({ term, hosts }) => term?.holder === node && hosts.includes(node))
      .map(({ id, term, syncSet }) => ({
        agent: id,
        term: term!.number,
        record: term!.record,
        sync: syncSet?.record ?? null,
        settled: this.#asking.isSettled(id),
      }))
  }

  /** Whether the register says something else than it would say now. */
  #wantsChange(): boolean {
    const wanted = this.#wanted() ?? []
    const { won, memory } = this.lease
    if (wanted.length === 0) return memory.listed.length > 0
    return wanted.some(({ agent, record, sync }) => {
      const held = won?.held.get(agent)
      return held?.record !== record || held.sync !== sync
    })
  }

  /** One of the same number that does not count is not enough: under it somebody else may act. */
  #holderBefore(agent: AgentId): NodeId | undefined {
    const known = this.#deps.log.mesh.agents.get(agent)
    return known?.terms.find(({ record }) => record === known.term?.previous)?.holder
  }

  #knowsTaking(agent: string, term: number, record: string): boolean {
    for (const known of this.#deps.log.mesh.agents.values())
      if (prefixOf(known.id) === agent && known.term !== null) {
        if (known.term.number !== term) return known.term.number > term
        return prefixOf(known.term.record) === record || this.#deps.store.isForced(known.term.record)
      }
    return false
  }

  async #heard({ witness }: SlotSeen): Promise<void> {
    this.lease.heardFrom(witness)
    this.#asking.noteDoubt()
    await this.#deps.store.keep(this.lease.memory)
  }

  #isProven(agent: AgentId): boolean {
    const known = this.#deps.log.mesh.agents.get(agent)
    return known !== undefined && this.#asking.proof.isProven(known)
  }

  async #ahead(): Promise<boolean> {
    const { health } = this.#deps
    if (this.#aheadRaised && health.facts.rolledBack === null) {
      this.#aheadRaised = false
      return true
    }
    // Once: raised anew at every look it would ask for peers that were heard since the last one, and never end.
    if (this.#aheadRaised) return false
    this.#aheadRaised = true
    await health.rolledBack('the witness knows of leases of this node that its home does not')
    return false
  }

  #won(sent: Moment, continued: boolean): void {
    this.#asking.noteDoubt()
    this.#asking.listed(this.lease.won?.held.keys() ?? [])
    this.acting.won(sent, continued)
    this.handover.review()
    this.#catchingUp.won(continued)
  }

  #taken(record: SignedRecord): void {
    this.#deps.logger.info({ record: record.hash }, 'an agent was taken over')
    void this.own.renew()
  }

  async #drained(waitMs: number): Promise<boolean> {
    try {
      await within(waitMs, this.#deps.link.drained())
      return await within(waitMs, this.#deps.sync.settled())
    } catch {
      return false
    }
  }

  /** Somebody says that he hands it to us: of a leased agent the register has to say so too. */
  async #takeHanded(from: NodeId, agentId: AgentId): Promise<void> {
    const { log, node } = this.#deps
    const agent = log.mesh.agents.get(agentId)
    if (agent?.term?.holder !== from || !agent.hosts.includes(node)) return
    if (agent.failover.mode === 'manual') return void (await this.taker.byLog(agentId, 'handed over'))
    const watched = await this.standby.look(from, true)
    if (
      watched?.blob?.handed.some(({ agent: each, to }) => each === prefixOf(agentId) && to === prefixOf(node)) !== true
    )
      return
    await this.taker.take(agentId, watched, { how: 'accept', reason: 'handed over', acceptDataLoss: false })
  }

  #mayChanged(agent: AgentId, term: Term | null): void {
    if (term === null) {
      const number = this.#acted.get(agent) ?? 0
      this.#acted.delete(agent)
      return this.#deps.told(agent, { type: 'act-lost', term: number })
    }
    this.#acted.set(agent, term.number)
    const token = this.#tokenFor(agent, term, new Uint8Array(ACT_ID_BYTES))
    this.#deps.told(agent, { type: 'act-gained', term, token })
  }

  #failed(error: unknown): void {
    if (error instanceof Failure && error.code === 'RELAY_UNREACHABLE') return
    this.#deps.logger.warn({ err: error }, 'a step of failover did not succeed')
  }
}
