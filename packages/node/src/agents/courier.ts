import { fromUtf8, utf8 } from '@sealmesh/protocol/bytes'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import { PACKET_EXPIRY_MS_MAX, PREKEY_SKEW_MS } from '@sealmesh/protocol/limits'
import { nodeByName } from '@sealmesh/protocol/membership/access'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { MESSAGE_LIFE_MS_MAX } from '@sealmesh/protocol/messages/limits'
import { Message } from '@sealmesh/protocol/messages/message'
import {
  encodePayload,
  LETTER_ANSWERS_MAX,
  type LetterAnswer,
  type LetterOutcome,
  type SentLetter,
  type SyncItem,
} from '@sealmesh/protocol/sync/payload'
import { kindOf } from '@sealmesh/protocol/sync/packet-kind'
import { type Deflater, wrapPayload } from '@sealmesh/protocol/sync/payload-form'
import { agentName, nodeName } from '../service/context.ts'
import type { Operation } from '../store/store.ts'
import type { Aside } from '../sync/asides.ts'
import type { PacketPort } from '../sync/packet-port.ts'
import { type Far, farRecipientsOf, mayGo } from './core/far.ts'
import { isFrom, isOver, type Letter, letterOf } from './core/letter.ts'
import { isTooDeep } from './core/payload.ts'
import type { Now } from './core/now.ts'
import { type Batch, NOT_DURABLE_MS, Outbox, type Posted } from './core/outbox.ts'
import { Pace } from './core/pace.ts'
import { wayOf } from './core/stranded.ts'
import { type Mark, Taken } from './core/taken.ts'
import type { TraceEvent } from './core/trace-book.ts'
import { UnderWay } from './core/under-way.ts'
import { type FarMail, type FoundFar, markPut, outDelete } from './far-mail.ts'
import type { AgentLimits } from './limits.ts'
import type { Roster } from './roster.ts'
import type { Seat } from './seat.ts'
import type { Trace } from './trace.ts'

interface Answer {
  readonly answer: LetterAnswer
  /** Nobody asks for it again: it waits for its reader as long as packets do. */
  readonly lasts: boolean
}

/** Between this node and the others. */
export interface CourierLink {
  readonly port: Pick<PacketPort, 'seal'>
  readonly send: (packet: Uint8Array) => 'sent' | 'full' | 'down'
  /** It was heard of lately. */
  readonly isThere: (node: NodeId) => boolean
}

export interface CourierDeps extends CourierLink {
  readonly node: NodeId
  readonly mesh: () => Mesh
  readonly roster: Pick<Roster, 'seat' | 'receiving' | 'agentNamed'>
  /** Other machines where that agent is attached, the best first. */
  readonly attachedAt: (agent: AgentId) => readonly NodeId[]
  readonly farMail: FarMail
  readonly limits: AgentLimits
  readonly trace: Trace
  /** Into an inbox here; false when it has no room. What is durable is on disk when it resolves, with `beside`. */
  readonly receive: (seat: Seat, letter: Letter, durable: boolean, beside: readonly Operation[]) => Promise<boolean>
  readonly monotonicMs: () => number
  readonly now: () => number
  /** What could not be put on the disk or taken off it. */
  readonly failed: (error: unknown) => void
}

const TICK_MS = 1_000
/** What is not durable is worth nothing in a mailbox once its sender has given up; clocks differ a little. */
const PACKET_LIFE_MS = 2 * NOT_DURABLE_MS
/** A copy of what is not durable comes no later than that. */
const MARK_LIFE_MS = 2 * PACKET_LIFE_MS + PREKEY_SKEW_MS
/** Letters of several agents share a packet: its size must not tell one what another has in common with it. */
const UNDEFLATED: Deflater = { deflate: () => undefined, inflate: () => undefined }
/** Answers that wait for the link; who gets none asks again. What is told later leaves room for them. */
const ANSWERS_MAX = 4_096
const TOLD_LATER_MAX = ANSWERS_MAX / 2
/** Programs mostly reply at once: what was taken is then said in the packet that carries the reply. */
const ANSWER_PAUSE_MS = 10

/** Letters between agents of this machine and of others (docs/spec/16-agents.md §6). */
export class Courier {
  readonly #deps: CourierDeps
  readonly #outbox = new Outbox()
  readonly #taken = new Taken()
  /** Letters that are being put on disk. */
  readonly #inHand = new Set<string>()
  readonly #answers = new Map<NodeId, Answer[]>()
  /** Letters of agents here, for what is told of them once they were taken. */
  readonly #underWay = new UnderWay()
  readonly #paces = new Map<NodeId, Pace>()
  readonly #there = new Set<NodeId>()
  readonly #timer: NodeJS.Timeout
  #flushing: NodeJS.Immediate | undefined
  #answering: NodeJS.Timeout | undefined
  #closed = false

  constructor(deps: CourierDeps, { posted, marks }: FoundFar) {
    this.#deps = deps
    for (const each of posted) {
      this.#outbox.add(each, this.#now())
      this.#underWay.add(each)
    }
    for (const mark of marks) this.#taken.add(mark)
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    this.#timer.unref()
  }

  /** Those on other machines that a message goes to; at most one where it names one agent. */
  recipients(to: string, sender: AgentId): readonly Far[] {
    const { mesh, node, roster, attachedAt } = this.#deps
    return farRecipientsOf(to, sender, {
      mesh: mesh(),
      node,
      agentNamed: (name) => roster.agentNamed(name),
      isAttached: (agent) => roster.seat(agent)?.attached === true,
      attachedAt,
    })
  }

  /** Gives how many there was room for; what is durable is on disk then. Throws DISK_FULL or DISK_FAILED. */
  post(sender: AgentId, letter: Letter, durable: boolean, to: readonly Far[]): number | Promise<number> {
    const open = to.filter(({ node }) => this.#outbox.hasRoom(node, sender, letter))
    const posting = open.filter(({ agent }) => !this.#outbox.has(sender, agent, letter.id))
    if (durable) return this.#keep(sender, letter, posting).then(() => open.length)
    for (const far of posting) this.#add({ ...far, sender, letter, durable, stored: null })
    return open.length
  }

  async #keep(sender: AgentId, letter: Letter, to: readonly Far[]): Promise<void> {
    if (to.length === 0) return
    for (const posted of await this.#deps.farMail.put(sender, to, letter)) {
      this.#note('kept', posted)
      this.#add(posted)
    }
  }

  #add(posted: Posted): void {
    this.#outbox.add(posted, this.#now())
    this.#underWay.add(posted)
    this.#flushSoon()
  }

  /** Never throws: it runs in the socket's turn. */
  onItem(from: NodeId, item: Aside, lacksRecords: () => boolean): void {
    if (this.#closed) return
    if (item.type === 'letters-taken') this.#answered(from, item.answers)
    if (item.type === 'letters')
      for (const letter of item.letters) this.#arrived(from, letter, lacksRecords).catch(this.#deps.failed)
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#timer)
    if (this.#flushing !== undefined) clearImmediate(this.#flushing)
    clearTimeout(this.#answering)
  }

  #answered(from: NodeId, answers: readonly LetterAnswer[]): void {
    const machine = nodeName(this.#deps.mesh(), from)
    const done: Posted[] = []
    for (const answer of answers) {
      const posted = this.#underWay.told(from, answer)
      if (posted === undefined) continue
      this.#note(answer.outcome, posted, { machine, atMs: answer.atMs })
      const ended = this.#outbox.answered(from, answer, this.#now())
      if (ended !== undefined) done.push(ended)
    }
    this.#deps.farMail.remove(done).catch(this.#deps.failed)
  }

  async #arrived(from: NodeId, sent: SentLetter, lacksRecords: () => boolean): Promise<void> {
    if (!this.#mayGoOn(from, sent.recipients.length)) return
    const message = messageIn(sent.message)
    if (message === undefined) return
    for (const recipient of new Set(sent.recipients)) {
      const outcome = await this.#take(from, sent.sender, recipient, message, lacksRecords)
      if (outcome !== undefined)
        this.#answer(from, { sender: sent.sender, recipient, id: message.id, outcome, atMs: this.#deps.now() })
    }
  }

  /** Undefined: nothing can be said of it now, and it will come again. */
  async #take(
    from: NodeId,
    sender: AgentId,
    recipient: AgentId,
    message: Message,
    lacksRecords: () => boolean,
  ): Promise<LetterOutcome | undefined> {
    const { mesh, node, roster, trace, now } = this.#deps
    const { durable, id } = message
    // What the sender's log says of its rights may not be here yet.
    if (!mayGo(mesh(), sender, from, recipient, node)) return lacksRecords() ? undefined : 'refused'
    if (this.#taken.has(sender, recipient, id)) return 'taken'
    const letter = this.#letterOf(message, sender, from, recipient)
    const endsAtMs = letter.expiresAtMs ?? (durable ? Number.POSITIVE_INFINITY : now() + MARK_LIFE_MS)
    if (isOver(letter, now()) || endsAtMs > now() + MESSAGE_LIFE_MS_MAX + PREKEY_SKEW_MS) return 'refused'
    const seat = roster.receiving(recipient)
    if (seat === undefined) return 'full'
    // Whoever hears no such topic has nothing to take.
    if (message.to.startsWith('#') && !seat.topics.has(message.to.slice(1))) return 'taken'
    const key = `${sender} ${recipient} ${id}`
    if (this.#inHand.has(key)) return undefined
    this.#inHand.add(key)
    try {
      // The log's own names of them: the packet's, 64 characters each, would be kept again with every mark.
      const known = mesh().agents.get(sender)?.id ?? sender
      const mark = { sender: known, recipient: seat.id, id, endsAtMs, durable }
      // Before what comes of it: it may be handed out at once.
      trace.open('received', letter)
      if (!(await this.#deps.receive(seat, letter, durable, durable ? [markPut(mark)] : []))) return 'full'
      this.#mark(mark)
      return 'taken'
    } finally {
      this.#inHand.delete(key)
    }
  }

  #mark(mark: Mark): void {
    const gone = this.#taken.add(mark)
    if (gone !== undefined) this.#deps.farMail.forget([gone]).catch(this.#deps.failed)
  }

  /** `from` is by what the packet proves; who it is for, by this machine's log. */
  #letterOf({ payload, ...head }: Message, sender: AgentId, from: NodeId, recipient: AgentId): Letter {
    const mesh = this.#deps.mesh()
    const name = (agent: AgentId): string => mesh.agents.get(agent)?.name ?? ''
    const isForMany = head.to === '*' || head.to.startsWith('#')
    return letterOf(
      {
        ...head,
        from: `${name(sender)}@${mesh.nodes.get(from)?.name ?? ''}`,
        to: isForMany ? head.to : name(recipient),
      },
      JSON.stringify(payload),
      this.#deps.trace.takes(head.durable, sender, this.#deps.now()),
    )
  }

  /** Past its rate nothing of a machine is looked at: what is honest comes again. */
  #mayGoOn(from: NodeId, letters: number): boolean {
    const { limits, now } = this.#deps
    const pace = this.#paces.get(from) ?? new Pace(limits.pace, now())
    this.#paces.set(from, pace)
    return !pace.spend(Math.max(1, letters), limits.pace, now()).tooFast
  }

  #answer(to: NodeId, answer: LetterAnswer): void {
    const answers = this.#answersTo(to)
    if (answers.length < ANSWERS_MAX) answers.push({ answer, lasts: false })
    if (this.#closed) return
    this.#answering ??= setTimeout(() => {
      this.#answering = undefined
      this.#flush()
      this.#flushAnswers()
    }, ANSWER_PAUSE_MS)
  }

  #answersTo(node: NodeId): Answer[] {
    const answers = this.#answers.get(node) ?? []
    this.#answers.set(node, answers)
    return answers
  }

  /** What became of a letter that was taken here; for its sender where that is elsewhere. Goes with the next tick. */
  tell(recipient: AgentId, letter: Letter, outcome: LetterOutcome): void {
    const { mesh, node, roster, now } = this.#deps
    const known = mesh()
    // First what is cheap: every letter passes here.
    if ((letter.isForMany && !letter.durable) || isFrom(letter, nodeName(known, node))) return
    const [name = '', machine = ''] = letter.from.split('@')
    const [sender, from] = [roster.agentNamed(name)?.id, nodeByName(known, machine)?.id]
    if (sender === undefined || from === undefined || !mayGo(known, sender, from, recipient, node)) return
    const answers = this.#answersTo(from)
    if (answers.length >= TOLD_LATER_MAX) return
    answers.push({ answer: { sender, recipient, id: letter.id, outcome, atMs: now() }, lasts: letter.durable })
  }

  #note(event: TraceEvent, { agent, node, letter }: Posted, there?: { machine: string; atMs: number }): void {
    const { mesh, trace } = this.#deps
    const [name, to] = [agentName(mesh(), agent), nodeName(mesh(), node)]
    trace.note(event, letter, there === undefined ? { agent: name, to } : { agent: name, to, there })
  }

  #tick(): void {
    const { mesh, node, farMail, isThere, failed, now } = this.#deps
    const known = mesh()
    const rules = { mesh: known, node, isThere }
    const gone = this.#outbox.drop(this.#now(), (each) => wayOf(each, rules).type !== 'end')
    for (const each of gone) this.#note(wayOf(each, rules).type === 'end' ? 'refused' : 'expired', each)
    for (const each of this.#outbox.all()) {
      const way = wayOf(each, rules)
      if (way.type === 'move') this.#move(each, way.node).catch(failed)
    }
    farMail.remove(gone).catch(failed)
    farMail.forget(this.#taken.expire(now())).catch(failed)
    for (const other of known.nodes.keys()) {
      if (!isThere(other)) this.#there.delete(other)
      else if (!this.#there.has(other)) {
        this.#there.add(other)
        this.#outbox.retry(other, this.#now())
      }
    }
    this.#flush()
    this.#flushAnswers()
  }

  /** To the new holder of its recipient, which may be this machine. */
  async #move(posted: Posted, node: NodeId): Promise<void> {
    const { farMail, receive, roster } = this.#deps
    const { sender, agent, letter } = posted
    const key = `${sender} ${agent} ${letter.id}`
    if (this.#inHand.has(key)) return
    this.#inHand.add(key)
    try {
      if (node === this.#deps.node) {
        const seat = roster.receiving(agent)
        // Without a program that may be that agent here, or room, it waits as before.
        if (seat === undefined || !(await receive(seat, letter, true, outDelete(posted)))) return
        this.#outbox.remove(posted)
        return this.#note('moved', { ...posted, node })
      }
      const moved = await farMail.move(posted, node)
      // The old machine may have answered meanwhile, after all.
      if (!this.#outbox.has(sender, agent, letter.id)) return await farMail.remove([moved])
      this.#outbox.remove(posted)
      this.#note('moved', moved)
      this.#add(moved)
    } finally {
      this.#inHand.delete(key)
    }
  }

  /** What is said in one turn to one machine shares a packet. */
  #flushSoon(): void {
    if (this.#closed) return
    this.#flushing ??= setImmediate(() => {
      this.#flushing = undefined
      this.#flush()
    })
  }

  #flush(): void {
    const { mesh, node } = this.#deps
    const known = mesh()
    for (const batch of this.#outbox.due(this.#now())) {
      // The log may have changed since they were posted; what may not go ends with the next tick.
      const posted = batch.posted.filter((each) => mayGo(known, each.sender, node, each.agent, each.node))
      if (posted.length === 0) continue
      const lifeMs = batch.durable ? PACKET_EXPIRY_MS_MAX : PACKET_LIFE_MS
      const answers = this.#answers.get(batch.node)?.slice(0, LETTER_ANSWERS_MAX) ?? []
      const items: SyncItem[] = [{ type: 'letters', letters: together({ ...batch, posted }) }]
      if (answers.length > 0) items.unshift(itemOf(answers))
      if (!this.#send(batch.node, items, Math.max(lifeMs, lifeOf(answers)))) continue
      this.#outbox.sent(batch, this.#now())
      this.#said(batch.node, answers.length)
      for (const each of posted) this.#note('packet', each)
    }
  }

  /** Those that went with no letter. */
  #flushAnswers(): void {
    for (const [to, answers] of this.#answers)
      while (answers.length > 0) {
        const some = answers.slice(0, LETTER_ANSWERS_MAX)
        if (!this.#send(to, [itemOf(some)], lifeOf(some))) break
        this.#said(to, some.length)
      }
  }

  #said(to: NodeId, count: number): void {
    const answers = this.#answers.get(to)
    answers?.splice(0, count)
    if (answers?.length === 0) this.#answers.delete(to)
  }

  #send(to: NodeId, items: readonly SyncItem[], lifeMs: number): boolean {
    const payload = wrapPayload(encodePayload(items), UNDEFLATED)
    const packet = this.#deps.port.seal(to, payload, kindOf(items), lifeMs)
    return packet !== undefined && this.#deps.send(packet.bytes) === 'sent'
  }

  #now(): Now {
    return { monotonicMs: this.#deps.monotonicMs(), wallMs: this.#deps.now() }
  }
}

const itemOf = (answers: readonly Answer[]): SyncItem => ({
  type: 'letters-taken',
  answers: answers.map(({ answer }) => answer),
})

const lifeOf = (answers: readonly Answer[]): number =>
  answers.some(({ lasts }) => lasts) ? PACKET_EXPIRY_MS_MAX : PACKET_LIFE_MS

/** A letter to several agents of one machine is written once. */
function together({ posted }: Batch): SentLetter[] {
  const letters = new Map<Letter, SentLetter & { readonly recipients: AgentId[] }>()
  for (const { sender, agent, letter } of posted) {
    const known = letters.get(letter)
    if (known === undefined) letters.set(letter, { sender, recipients: [agent], message: utf8(letter.text) })
    else known.recipients.push(agent)
  }
  return [...letters.values()]
}

/** Bytes of a peer. */
function messageIn(bytes: Uint8Array): Message | undefined {
  try {
    const text = fromUtf8(bytes)
    return isTooDeep(text, 1) ? undefined : Message.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
