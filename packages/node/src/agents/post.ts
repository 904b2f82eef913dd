import { setTimeout as pause } from 'node:timers/promises'
import { Failure } from '@sealmesh/protocol/errors'
import type { AgentMethodParams, Delivery } from '@sealmesh/protocol/ipc/agent-methods'
import { MESSAGE_DEPTH_MAX, MESSAGE_LIFE_MS_MAX, MESSAGE_PAYLOAD_BYTES_MAX } from '@sealmesh/protocol/messages/limits'
import { EVERYBODY, wasAsked } from '@sealmesh/protocol/messages/addresses'
import { type Message, MESSAGE_VERSION } from '@sealmesh/protocol/messages/message'
import { iso } from '../service/context.ts'
import type { HandedOut, Held } from './core/inbox.ts'
import type { Operation } from '../store/store.ts'
import type { Courier } from './courier.ts'
import type { Far } from './core/far.ts'
import { messageIds } from './core/message-ids.ts'
import { isOver, type Letter, letterOf, messageOf } from './core/letter.ts'
import type { Now } from './core/now.ts'
import { isTooDeep } from './core/payload.ts'
import type { TraceEvent } from './core/trace-book.ts'
import { recipientsOf, type Talk } from './core/who.ts'
import type { AgentLimits } from './limits.ts'
import type { FoundLetter, Mail } from './mail.ts'
import type { Roster } from './roster.ts'
import type { Attachment, Seat, Sent } from './seat.ts'
import type { Trace } from './trace.ts'
import { tellLetter } from './told.ts'

export interface PostDeps {
  readonly roster: Roster
  readonly mail: Mail
  readonly courier: Pick<Courier, 'recipients' | 'post' | 'tell'>
  readonly trace: Trace
  readonly talk: () => Talk
  /** Of this machine. */
  readonly nodeName: () => string
  readonly limits: AgentLimits
  readonly random: (bytes: number) => Uint8Array
  readonly now: () => number
  /** What could not be taken off the disk, and will come again. */
  readonly failed: (error: unknown) => void
  readonly watch: PostWatch
  /** A clock that only goes forward. */
  readonly monotonicMs: () => number
}

/** Whoever counts and notes what passes. Called for every message: it must be quick, and throw nothing. */
export interface PostWatch {
  /** `sender` undefined: an agent of another machine. */
  sent(sender: Seat | undefined, letter: Letter, sent: Sent, now: Now): void
  /** `tookMs` null: its agent was away when it came. */
  handed(seat: Seat, tookMs: number | null, now: Now): void
  done(seat: Seat, out: HandedOut, tookMs: number, now: Now): void
  refused(sender: Seat, draft: Draft, error: unknown): void
}

/** Which message is waited for: what it answers, its type, or both; and whom that went to. */
interface Answering {
  readonly to: string | undefined
  readonly type: string | undefined
  readonly asked: string | undefined
}

export type Draft = Omit<AgentMethodParams<'send'>, 'as' | 'payload'>

/** Messages between the agents of this machine: from a sender into inboxes, and out of them. */
export class Post {
  readonly #deps: PostDeps
  /** In all inboxes. */
  #bytes = 0
  readonly #newId: () => string

  constructor(deps: PostDeps, found: readonly FoundLetter[]) {
    this.#deps = deps
    this.#newId = messageIds(deps.random)
    for (const { agent, stored, letter } of found) {
      const seat = deps.roster.seat(agent)
      if (seat === undefined) {
        // Nobody can be that agent here at this moment; what is over goes, the rest may still be wanted.
        if (isOver(letter, deps.now())) deps.mail.remove(agent, [stored]).catch(deps.failed)
        continue
      }
      this.#add(seat, letter, stored, this.#now())
      deps.trace.note('found', letter, { agent: seat.agent.name })
      const sent = { id: letter.id, delivered: 0, waiting: 1, refused: 0 }
      const [name = '', machine] = letter.from.split('@')
      if (machine === deps.nodeName()) deps.roster.named(name)?.seen.set(letter.id, sent)
    }
  }

  /**
   * Answers when everyone has it or it is on disk. Throws AGENT_UNKNOWN, AGENT_TOO_FAST, VALUE_TOO_LARGE, INBOX_FULL
   * where there is one recipient, VALUE_INVALID, DISK_FULL or DISK_FAILED. `payload`: JSON text in one line; undefined
   * for what could not be made one.
   */
  send(sender: Seat, draft: Draft, payload: string | undefined): Sent | Promise<Sent> {
    try {
      const sent = this.#sendOnce(sender, draft, payload)
      if (sent instanceof Promise) sent.catch((error: unknown) => this.#deps.watch.refused(sender, draft, error))
      return sent
    } catch (error) {
      this.#deps.watch.refused(sender, draft, error)
      throw error
    }
  }

  #sendOnce(sender: Seat, draft: Draft, payload: string | undefined): Sent | Promise<Sent> {
    if (draft.id === undefined) return this.#send(sender, draft, payload)
    const { id } = draft
    const known = sender.seen.get(id)
    if (known !== undefined) return known
    const sent = this.#send(sender, draft, payload)
    sender.seen.set(id, sent)
    if (sent instanceof Promise) sent.catch(() => sender.seen.forget(id))
    return sent
  }

  #send(sender: Seat, draft: Draft, payload: string | undefined): Sent | Promise<Sent> {
    const { roster, limits } = this.#deps
    const now = this.#now()
    const letter = this.#letter(sender, draft, payload, now.wallMs)
    const rules = { talk: this.#deps.talk(), nodeName: this.#deps.nodeName() }
    const far = this.#deps.courier.recipients(draft.to, sender.id)
    const here = recipientsOf(draft.to, sender.id, draft.durable, roster, rules)
    if (here === undefined && far.length === 0)
      throw new Failure('AGENT_UNKNOWN', 'There is no such agent that this one may write to.', {
        next: `sealmesh agents ls; an agent of another machine lets it write there: sealmesh share set AGENT inbox=THIS-AGENT:write`,
      })
    // Nobody gets it on two machines.
    const isFar = (seat: Seat): boolean => far.some(({ agent }) => agent === seat.id)
    const recipients = far.length === 0 ? (here ?? []) : (here ?? []).filter((seat) => !isFar(seat))
    const deliveries = Math.max(1, recipients.length + far.length)
    const { waitMs, tooFast } = sender.pace.spend(deliveries, limits.pace, now.wallMs)
    if (tooFast)
      throw new Failure('AGENT_TOO_FAST', `More than ${limits.pace.perSecond} deliveries a second.`, {
        next: `send it again in ${waitMs} ms`,
      })
    const open = recipients.filter((seat) => this.#hasRoom(seat, letter, draft.durable, now.wallMs))
    this.#deps.trace.open('sent', letter)
    if (open.length < recipients.length)
      for (const seat of recipients) if (!open.includes(seat)) this.#note('full', letter, seat)
    const refused = recipients.length - open.length
    if (isForOne(draft) && refused > 0) throw inboxFull()
    const sent =
      far.length > 0
        ? this.#both(sender, open, letter, refused, draft, far)
        : this.#near(sender, open, letter, refused, draft, now)
    this.#watchSent(sender, letter, sent, now)
    return waitMs > 0 ? pause(waitMs).then(() => sent) : sent
  }

  #watchSent(sender: Seat, letter: Letter, sent: Sent | Promise<Sent>, now: Now): void {
    const { watch } = this.#deps
    if (sent instanceof Promise)
      sent.then(
        (each) => watch.sent(sender, letter, each, this.#now()),
        () => undefined, // `send` tells of it.
      )
    else watch.sent(sender, letter, sent, now)
  }

  #near(
    sender: Seat,
    open: readonly Seat[],
    letter: Letter,
    refused: number,
    { durable }: Draft,
    now: Now,
  ): Sent | Promise<Sent> {
    return durable ? this.#keep(sender, open, letter, refused) : this.#hand(sender, open, letter, refused, null, now)
  }

  /** What goes to other machines waits, as far as anybody here can say. */
  async #both(
    sender: Seat,
    open: readonly Seat[],
    letter: Letter,
    refused: number,
    draft: Draft,
    far: readonly Far[],
  ): Promise<Sent> {
    const posted = await this.#deps.courier.post(sender.id, letter, draft.durable, far)
    if (posted === 0 && isForOne(draft)) throw inboxFull()
    // Others may have taken the room meanwhile.
    const now = this.#now()
    const still = open.filter((seat) => this.#hasRoom(seat, letter, draft.durable, now.wallMs))
    const without = refused + open.length - still.length + far.length - posted
    const sent = await this.#near(sender, still, letter, without, draft, now)
    return { ...sent, waiting: sent.waiting + posted }
  }

  /**
   * From an agent of another machine; false when there is no room. Of what is durable it resolves when that is on disk,
   * together with `beside`. Throws DISK_FULL or DISK_FAILED.
   */
  async receive(seat: Seat, letter: Letter, durable: boolean, beside: readonly Operation[]): Promise<boolean> {
    if (!this.#hasRoom(seat, letter, durable, this.#deps.now())) return false
    let stored: number | null = null
    if (durable) {
      const release = seat.inbox.reserve(letter)
      try {
        stored = await this.#deps.mail.put([seat.id], letter, beside)
      } finally {
        release()
      }
    }
    if (durable) this.#note('kept', letter, seat)
    const now = this.#now()
    this.#add(seat, letter, stored, now)
    this.#note('taken', letter, seat)
    seat.past.add(letter.text)
    const delivered = this.pump(seat, now) || seat.inbox.waiting === 0 ? 1 : 0
    this.#deps.watch.sent(undefined, letter, { id: letter.id, delivered, waiting: 1 - delivered, refused: 0 }, now)
    return true
  }

  /** On disk first: whoever has it handed out can acknowledge it. */
  async #keep(sender: Seat, open: readonly Seat[], letter: Letter, refused: number): Promise<Sent> {
    const release = open.map((seat) => seat.inbox.reserve(letter))
    try {
      const first = await this.#deps.mail.put(
        open.map(({ id }) => id),
        letter,
      )
      for (const seat of open) this.#note('kept', letter, seat)
      return this.#hand(sender, open, letter, refused, first, this.#now())
    } finally {
      for (const each of release) each()
    }
  }

  /** `first`: where it lies on disk for the first of them, for the next ones behind it; null where it does not. */
  #hand(sender: Seat, open: readonly Seat[], letter: Letter, refused: number, first: number | null, now: Now): Sent {
    sender.past.add(letter.text)
    let delivered = 0
    let stored = first
    for (const seat of open) {
      this.#add(seat, letter, stored, now)
      this.#note('taken', letter, seat)
      if (stored !== null) stored += 1
      if (seat !== sender) seat.past.add(letter.text)
      const woken = this.pump(seat, now)
      if (woken || seat.inbox.waiting === 0) delivered += 1
    }
    return { id: letter.id, delivered, waiting: open.length - delivered, refused }
  }

  #letter(sender: Seat, draft: Draft, payload: string | undefined, nowMs: number): Letter {
    if (payload === undefined || isTooDeep(payload))
      throw new Failure('VALUE_INVALID', `A payload nests at most ${MESSAGE_DEPTH_MAX} lists and objects.`)
    if (payload.length * 3 > MESSAGE_PAYLOAD_BYTES_MAX && Buffer.byteLength(payload) > MESSAGE_PAYLOAD_BYTES_MAX)
      throw new Failure('VALUE_TOO_LARGE', `A payload holds ${MESSAGE_PAYLOAD_BYTES_MAX} bytes.`, {
        next: 'put it into a document, and its UMR into the message',
      })
    const lifeMs = Math.min(draft.expiresMs ?? MESSAGE_LIFE_MS_MAX, MESSAGE_LIFE_MS_MAX)
    // What is on disk must end some day, even if its recipient never comes.
    const ends = draft.durable || draft.expiresMs !== undefined
    const head = {
      version: MESSAGE_VERSION,
      id: draft.id ?? this.#newId(),
      from: `${sender.agent.name}@${this.#deps.nodeName()}`,
      to: draft.to,
      type: draft.type,
      priority: draft.priority,
      correlation: draft.correlation,
      sentAt: iso(nowMs),
      expiresAt: ends ? new Date(nowMs + lifeMs).toISOString() : null,
      hops: draft.hops,
      parents: draft.parents,
      durable: draft.durable,
    } as const
    return letterOf(head, payload, this.#deps.trace.takes(draft.durable, sender.id, nowMs))
  }

  #hasRoom(seat: Seat, letter: Letter, durable: boolean, nowMs: number): boolean {
    const { limits } = this.#deps
    if (this.#bytes + letter.bytes > limits.allInboxesBytes) return false
    const own = seat.attached || durable ? limits.inbox : limits.awayInbox
    if (seat.inbox.hasRoom(letter, own)) return true
    this.#gone(seat, seat.inbox.dropExpired(nowMs))
    return seat.inbox.hasRoom(letter, own)
  }

  #add(seat: Seat, letter: Letter, stored: number | null, { monotonicMs }: Now): void {
    this.#bytes += letter.bytes
    seat.inbox.add({ letter, stored, sinceMs: seat.attached ? monotonicMs : null })
  }

  /** Hands out what waits, as far as the agent takes it. True when one who waits in `inbox.take` was woken. */
  pump(seat: Seat, now: Now = this.#now()): boolean {
    const { attachment } = seat
    if (attachment === undefined || !attachment.rights.has('receive')) return false
    if (attachment.inbox === 'pull') return wakeWaiting(seat)
    const { stream } = attachment.client
    if (stream === undefined || attachment.stalled) return false
    const expired: Held[] = []
    while (stream.hasRoom()) {
      const out = seat.inbox.next(now.wallMs, expired)
      if (out === undefined) break
      this.#handed(seat, out, now)
      tellLetter(stream, attachment.as, out)
    }
    this.#gone(seat, expired)
    if (seat.inbox.waiting > 0 && !stream.hasRoom()) this.#goOnLater(attachment, stream.room())
    return false
  }

  #goOnLater(attachment: Attachment, room: Promise<void>): void {
    attachment.stalled = true
    void room.then(() => {
      attachment.stalled = false
      if (attachment.seat.attachment === attachment) this.pump(attachment.seat)
    })
  }

  /** Up to `limit` of what waits; where nothing does, waits for the first. */
  async take(attachment: Attachment, limit: number, waitMs: number): Promise<{ deliveries: Delivery[]; left: number }> {
    const { inbox } = attachment.seat
    let deliveries = this.#next(attachment.seat, limit)
    if (deliveries.length === 0 && waitMs > 0 && !attachment.signal.aborted) {
      await untilWoken(attachment, (seat) => seat.wakers, waitMs)
      if (!attachment.signal.aborted) deliveries = this.#next(attachment.seat, limit)
    }
    return { deliveries, left: inbox.waiting }
  }

  /** The message that answers another one, taken by itself; undefined when none has come in time. */
  async answer(attachment: Attachment, wanted: Answering, waitMs: number): Promise<Message | undefined> {
    const { seat, signal } = attachment
    const endMs = performance.now() + waitMs
    // Looked for in the text first: few of those that wait are worth reading.
    const words = [
      ...(wanted.to === undefined ? [] : [`"correlation":"${wanted.to}"`]),
      ...(wanted.type === undefined ? [] : [`"type":"${wanted.type}"`]),
    ]
    const isAnswer = ({ text }: Letter): boolean =>
      words.every((word) => text.includes(word)) && answers(JSON.parse(text) as Message, wanted)
    for (;;) {
      const held = seat.inbox.pick(isAnswer)
      if (held !== undefined) {
        const out = { ...held, place: 0, handedMs: null }
        const now = this.#now()
        this.#handed(seat, out, now)
        this.#done(seat, [out], now)
        await this.#removed(seat, [held])
        return messageOf(held.letter)
      }
      const leftMs = endMs - performance.now()
      if (leftMs <= 0 || signal.aborted) return undefined
      await untilWoken(attachment, (seat) => seat.pickers, leftMs)
    }
  }

  #next(seat: Seat, limit: number): Delivery[] {
    const expired: Held[] = []
    const deliveries: Delivery[] = []
    const now = this.#now()
    while (deliveries.length < limit) {
      const out = seat.inbox.next(now.wallMs, expired)
      if (out === undefined) break
      this.#handed(seat, out, now)
      deliveries.push({ place: out.place, message: messageOf(out.letter) })
    }
    this.#gone(seat, expired)
    return deliveries
  }

  /** Resolves when what was on disk is off it. */
  async acknowledge(seat: Seat, place: number): Promise<void> {
    const now = this.#now()
    const done = seat.inbox.acknowledge(place)
    this.#done(seat, done, now)
    const removed = this.#removed(seat, done)
    this.pump(seat, now)
    await removed
  }

  #handed(seat: Seat, out: HandedOut, now: Now): void {
    if (out.sinceMs !== null) out.handedMs = now.monotonicMs - out.sinceMs
    this.#deps.watch.handed(seat, out.handedMs, now)
    this.#note('handed', out.letter, seat)
    this.#deps.courier.tell(seat.id, out.letter, 'handed')
  }

  #done(seat: Seat, done: readonly HandedOut[], now: Now): void {
    const { watch } = this.#deps
    for (const out of done) if (out.sinceMs !== null) watch.done(seat, out, now.monotonicMs - out.sinceMs, now)
    this.#ended('acknowledged', seat, done)
  }

  /** What was handed out to a program that is gone waits again. */
  recall(seat: Seat): void {
    seat.inbox.recall()
    for (const wake of [...seat.wakers, ...seat.pickers]) wake()
  }

  /** Now and then: what has expired takes no room. */
  sweep(): void {
    const nowMs = this.#deps.now()
    for (const seat of this.#deps.roster.everyone()) this.#gone(seat, seat.inbox.dropExpired(nowMs))
  }

  /** Nobody may be that agent here any more: what waits for it is dropped. */
  async empty(seat: Seat): Promise<void> {
    const dropped = seat.inbox.clear()
    this.#ended('dropped', seat, dropped)
    await this.#removed(seat, dropped)
  }

  #gone(seat: Seat, held: readonly Held[]): void {
    this.#ended('expired', seat, held)
    if (held.length > 0) this.#removed(seat, held).catch(this.#deps.failed)
  }

  #note(event: TraceEvent, letter: Letter, seat: Seat): void {
    const { trace } = this.#deps
    if (trace.isHeard(event, letter)) trace.note(event, letter, { agent: seat.agent.name })
  }

  #ended(event: 'acknowledged' | 'expired' | 'dropped', seat: Seat, held: readonly Held[]): void {
    for (const { letter } of held) {
      this.#note(event, letter, seat)
      this.#deps.courier.tell(seat.id, letter, event)
    }
  }

  /** One look at the clocks does for all that one call brings about. */
  #now(): Now {
    return { monotonicMs: this.#deps.monotonicMs(), wallMs: this.#deps.now() }
  }

  async #removed(seat: Seat, held: readonly Held[]): Promise<void> {
    for (const { letter } of held) this.#bytes -= letter.bytes
    const stored = held.flatMap((each) => (each.stored === null ? [] : [each.stored]))
    if (stored.length > 0) await this.#deps.mail.remove(seat.id, stored)
  }
}

const answers = ({ correlation, type, from }: Message, wanted: Answering): boolean =>
  (wanted.to === undefined || correlation === wanted.to) &&
  (wanted.type === undefined || type === wanted.type) &&
  (wanted.asked === undefined || wasAsked(wanted.asked, from))

const isForOne = ({ to }: Draft): boolean => !to.startsWith('#') && to !== EVERYBODY

const inboxFull = (): Failure => new Failure('INBOX_FULL', 'The inbox of that agent is full.')

function wakeWaiting({ pickers, wakers }: Seat): boolean {
  const [wake] = wakers
  const all = wake === undefined ? [...pickers] : [...pickers, wake]
  for (const each of all) each()
  return all.length > 0
}

function untilWoken({ seat, signal }: Attachment, of: (seat: Seat) => Set<() => void>, waitMs: number): Promise<void> {
  const wakers = of(seat)
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      wakers.delete(done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, waitMs)
    wakers.add(done)
    signal.addEventListener('abort', done, { once: true })
  })
}
