import { mailboxOn } from '@sealmesh/protocol/envelope/daily-mailboxes'
import type { MailboxId, NodeId, PacketId, RecordHash } from '@sealmesh/protocol/ids'
import type { KeyPair, SealPublicKey } from '@sealmesh/protocol/keys'
import { PACKET_EXPIRY_MS_MAX } from '@sealmesh/protocol/limits'
import { livePrekey } from '@sealmesh/protocol/membership/access'
import type { Mesh } from '@sealmesh/protocol/membership/mesh'
import { openLogCopy, sealLogCopy } from '@sealmesh/protocol/recovery/log-copy'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Outcome } from '@sealmesh/protocol/wire/frame'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { LogKeeper } from '../membership/log-keeper.ts'
import type { Meta } from '../store/meta.ts'
import { chunk } from '../sync/chunk.ts'
import type { LinkEvent } from '../uplink/link-event.ts'
import { Introduced, Introductions } from './introductions.ts'

/** A mailbox keeps nothing for longer than four of these. */
const WHOLE_AGAIN_MS = 7 * 24 * 60 * 60_000
const TICK_MS = 500
/** A takeover, a pairing or a first start make several records at once. */
const SETTLE_MS = 300
const RETRY_MS = 30_000

const Copied = z.object({ heads: z.array(z.string()), wholeAtMs: z.number() })
const COPIED = 'log-copied'
const INTRODUCED = 'introduced'

export interface LogCopiesDeps {
  readonly node: NodeId
  readonly mailboxes: () => ReadonlySet<MailboxId>
  readonly log: LogKeeper
  readonly meta: Meta
  readonly sodium: Sodium
  readonly random: (bytes: number) => Uint8Array
  readonly now: () => number
  readonly prekeys: () => readonly KeyPair<SealPublicKey, 'seal'>[]
  readonly send: (packet: Uint8Array) => 'sent' | 'full' | 'down'
  /** Lets the login of the recovery mailbox into the relay. */
  readonly enrol: () => Promise<void>
  /** When each member was last heard, in ms since 1970; null or absent for never. */
  readonly heard: () => ReadonlyMap<NodeId, number | null>
  readonly logger: Pick<Logger, 'info' | 'warn'>
}

interface UnderWay {
  readonly heads: readonly RecordHash[]
  readonly whole: boolean
  readonly left: Set<PacketId>
  refused: boolean
}

/**
 * Keeps copies of the membership log in the recovery mailbox at the relay, so that whoever has the recovery kit and
 * nothing else learns who belongs to the mesh; and sends copies to members that may not know this machine
 * (docs/spec/11-recovery.md §3 and §5).
 */
export class LogCopies {
  readonly #deps: LogCopiesDeps
  readonly #timer: NodeJS.Timeout
  #copied: z.infer<typeof Copied> | undefined
  #underWay: UnderWay | undefined
  #live = false
  #enrolled = false
  #isEnrolling = false
  #dueAtMs = 0
  readonly #introductions: Introductions
  /** Copies to members that the relay has not answered. */
  readonly #introducing = new Map<PacketId, NodeId>()

  private constructor(deps: LogCopiesDeps, copied: z.infer<typeof Copied> | undefined, introductions: Introductions) {
    this.#deps = deps
    this.#copied = copied
    this.#introductions = introductions
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    this.#timer.unref()
  }

  static async open(deps: LogCopiesDeps): Promise<LogCopies> {
    const introduced = (await deps.meta.read(INTRODUCED, Introduced)) ?? {}
    return new LogCopies(deps, await deps.meta.read(COPIED, Copied), new Introductions(deps.node, introduced))
  }

  /** Whether the relay has said that it keeps all that is in the log now. */
  get isUpToDate(): boolean {
    return this.#copied !== undefined && sameHeads(this.#copied.heads, this.#deps.log.mesh.heads)
  }

  meshChanged(): void {
    this.#dueAtMs = Math.max(this.#dueAtMs, this.#deps.now() + SETTLE_MS)
  }

  onLinkEvent(event: LinkEvent): void {
    switch (event.type) {
      case 'live':
        this.#live = true
        this.#enrolled = false
        this.#dueAtMs = 0
        if (event.newGeneration) this.#copied = undefined
        this.#introductions.live(this.#deps.now(), event.newGeneration)
        return
      case 'down':
        this.#live = false
        this.#underWay = undefined
        this.#introductions.down()
        // Whether the relay has them is not known: once more does no harm.
        for (const node of this.#introducing.values()) this.#introductions.refused(node, this.#deps.now())
        this.#introducing.clear()
        return
      case 'answer':
        return this.#answered(event.packet, event.outcomes)
      default:
        return
    }
  }

  /** A packet that is no ordinary one: whether it was records for this machine. */
  onPacket(packet: Uint8Array): boolean {
    const { log, mailboxes, prekeys, sodium, logger } = this.#deps
    const records = openLogCopy(packet, { mailboxes: mailboxes(), keys: prekeys() }, sodium)
    if (records === undefined) return false
    log.receive(records).then(
      ({ added, refused }) => logger.info({ added, refused }, 'records came in a copy of the log'),
      (error: unknown) => logger.warn({ err: error }, 'a copy of the log could not be stored'),
    )
    return true
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #tick(): void {
    const { log, now, node } = this.#deps
    const { mesh } = log
    const self = mesh.nodes.get(node)
    if (!this.#live || self === undefined || self.revocations.length > 0) return
    const nowMs = now()
    this.#introduce(mesh, nowMs)
    if (mesh.recovery === null || this.#underWay !== undefined || nowMs < this.#dueAtMs) return
    const whole = this.#copied === undefined || nowMs - this.#copied.wholeAtMs > WHOLE_AGAIN_MS
    if (!whole && this.isUpToDate) return
    if (self.admin && !this.#enrolled) return this.#enrol()
    this.#copy(mesh, whole, nowMs)
  }

  /** Once for each connection: the relay may have been wiped, and one that is full lets in only logins that it knows. */
  #enrol(): void {
    if (this.#isEnrolling) return
    this.#isEnrolling = true
    this.#deps
      .enrol()
      .then(
        () => {
          this.#enrolled = true
        },
        (error: unknown) => {
          this.#dueAtMs = this.#deps.now() + RETRY_MS
          this.#deps.logger.warn({ err: error }, 'the relay did not take the recovery mailbox')
        },
      )
      .finally(() => {
        this.#isEnrolling = false
      })
  }

  #copy(mesh: Mesh, whole: boolean, nowMs: number): void {
    const { log, sodium, send, random } = this.#deps
    if (mesh.recovery === null) return
    const { mailbox, sealKey } = mesh.recovery
    const to = { mailbox, sealKey, expiresMs: nowMs + PACKET_EXPIRY_MS_MAX }
    const records = log.after(whole ? [] : ((this.#copied?.heads ?? []) as RecordHash[]))
    const underWay: UnderWay = { heads: mesh.heads, whole, left: new Set(), refused: false }
    for (const part of chunk(records.map(({ bytes }) => bytes))) {
      const packet = sealLogCopy(part, to, random, sodium)
      if (packet === undefined || send(packet.bytes) !== 'sent') {
        this.#dueAtMs = nowMs + RETRY_MS
        return
      }
      underWay.left.add(packet.id)
    }
    this.#underWay = underWay
  }

  #answered(packet: PacketId, outcomes: readonly Outcome[]): void {
    const { now, logger, meta } = this.#deps
    const refused = outcomes.some(({ outcome }) => outcome === 'refused')
    const introduced = this.#introducing.get(packet)
    if (introduced !== undefined) {
      this.#introducing.delete(packet)
      if (refused) this.#introductions.refused(introduced, now())
      return
    }
    const underWay = this.#underWay
    if (underWay?.left.delete(packet) !== true) return
    underWay.refused ||= refused
    if (underWay.left.size > 0) return
    this.#underWay = undefined
    if (underWay.refused) {
      this.#dueAtMs = now() + RETRY_MS
      return
    }
    const wholeAtMs = underWay.whole ? now() : (this.#copied?.wholeAtMs ?? 0)
    this.#copied = { heads: [...underWay.heads], wholeAtMs }
    meta.write(COPIED, Copied, this.#copied).catch((error: unknown) => {
      // Worst case: the same records are copied once more.
      logger.warn({ err: error }, 'it was not noted that the log was copied')
    })
  }

  #introduce(mesh: Mesh, nowMs: number): void {
    const { log, meta, sodium, send, random, heard, logger } = this.#deps
    const due = this.#introductions.due(mesh, heard(), nowMs)
    if (due.length === 0) return
    const parts = chunk(log.after([]).map(({ bytes }) => bytes))
    for (const member of due) {
      const prekey = livePrekey(member, nowMs)
      const mailbox = prekey === undefined ? undefined : mailboxOn(prekey, nowMs)
      if (prekey === undefined || mailbox === undefined) {
        this.#introductions.refused(member.id, nowMs) // Until it comes back and announces another.
        continue
      }
      this.#introductions.introduced(member.id, nowMs)
      const to = { mailbox, sealKey: prekey.publicKey, expiresMs: nowMs + PACKET_EXPIRY_MS_MAX }
      for (const part of parts) {
        const packet = sealLogCopy(part, to, random, sodium)
        if (packet === undefined) continue // A key that nothing can be sealed to.
        if (send(packet.bytes) === 'sent') this.#introducing.set(packet.id, member.id)
        else this.#introductions.refused(member.id, nowMs)
      }
    }
    meta.write(INTRODUCED, Introduced, this.#introductions.kept(mesh)).catch((error: unknown) => {
      logger.warn({ err: error }, 'it was not noted who was sent the log')
    })
  }
}

const sameHeads = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((hash, at) => hash === b[at])
