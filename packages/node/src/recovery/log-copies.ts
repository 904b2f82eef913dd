import { mailboxOn } from '@sealmesh/protocol/envelope/daily-mailboxes'
import type { MailboxId, NodeId, RecordHash } from '@sealmesh/protocol/ids'
import type { KeyPair, SealPublicKey } from '@sealmesh/protocol/keys'
import { PACKET_EXPIRY_MS_MAX } from '@sealmesh/protocol/limits'
import { livePrekey } from '@sealmesh/protocol/membership/access'
import type { Mesh, MeshNode, Recovery } from '@sealmesh/protocol/membership/mesh'
import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import { openLogCopy } from '@sealmesh/protocol/recovery/log-copy'
import type { Sodium } from '@sealmesh/protocol/sodium'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { LogKeeper } from '../membership/log-keeper.ts'
import type { Meta } from '../store/meta.ts'
import type { LinkEvent } from '../uplink/link-event.ts'
import { Introduced, Introductions } from './introductions.ts'
import { type CopyTo, LogTransfer } from './log-transfer.ts'

/** A mailbox keeps nothing for longer than four of these. */
const WHOLE_AGAIN_MS = 7 * 24 * 60 * 60_000
const TICK_MS = 500
/** A takeover, a pairing or a first start make several records at once. */
const SETTLE_MS = 300
const RETRY_MS = 30_000
/** After a refusal: most likely the mailbox is full. */
const REFUSED_PAUSE_MS = 5 * 60_000

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
  readonly transfer: LogTransfer
  /** Null for the recovery mailbox. */
  readonly member: NodeId | null
  readonly beganMs: number
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
  /** One at a time: others use the link too. */
  #underWay: UnderWay | undefined
  #live = false
  #enrolled = false
  #isEnrolling = false
  #dueAtMs = 0
  readonly #introductions: Introductions

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
        if (event.newGeneration) this.#copied = this.#underWay = undefined
        this.#introductions.live(this.#deps.now(), event.newGeneration)
        return
      case 'down':
        this.#live = false
        this.#underWay?.transfer.lostLink()
        this.#introductions.down()
        return
      case 'answer':
        return this.#underWay?.transfer.answered(event.packet, event.outcomes)
      case 'room':
        return this.#underWay?.transfer.go()
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
    // Whoever has spoken knows us.
    const { member = null, beganMs = 0 } = this.#underWay ?? {}
    if (member !== null && (this.#deps.heard().get(member) ?? 0) > beganMs) this.#underWay = undefined
    if (this.#underWay === undefined) this.#begin(mesh, self, nowMs)
    this.#underWay?.transfer.go()
  }

  /** The recovery mailbox first: it is all that is left when every machine is lost. */
  #begin(mesh: Mesh, self: MeshNode, nowMs: number): void {
    const whole = this.#copied === undefined || nowMs - this.#copied.wholeAtMs > WHOLE_AGAIN_MS
    if (mesh.recovery === null || nowMs < this.#dueAtMs || (!whole && this.isUpToDate))
      return this.#introduce(mesh, nowMs)
    if (self.admin && !this.#enrolled) this.#enrol()
    else this.#copy(mesh.recovery, mesh.heads, whole, nowMs)
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

  #copy({ mailbox, sealKey }: Recovery, heads: readonly RecordHash[], whole: boolean, nowMs: number): void {
    const { log, now, meta, logger } = this.#deps
    const to = { mailbox, sealKey, expiresMs: nowMs + PACKET_EXPIRY_MS_MAX }
    const after = whole ? [] : ((this.#copied?.heads ?? []) as RecordHash[])
    this.#send(null, to, log.after(after), nowMs, (outcome) => {
      if (outcome === 'refused') {
        this.#dueAtMs = now() + REFUSED_PAUSE_MS
        return
      }
      this.#copied = { heads: [...heads], wholeAtMs: whole ? nowMs : (this.#copied?.wholeAtMs ?? 0) }
      meta.write(COPIED, Copied, this.#copied).catch((error: unknown) => {
        // Worst case: the same records are copied once more.
        logger.warn({ err: error }, 'it was not noted that the log was copied')
      })
    })
  }

  #introduce(mesh: Mesh, nowMs: number): void {
    const { log, now, meta, heard, logger } = this.#deps
    // The log is summed up only when somebody is silent.
    if (this.#introductions.due(mesh, heard(), nowMs, 0).length === 0) return
    const records = log.after([])
    const bytes = records.reduce((sum, record) => sum + record.bytes.length, 0)
    const [member] = this.#introductions.due(mesh, heard(), nowMs, bytes)
    if (member === undefined) return
    const prekey = livePrekey(member, nowMs)
    const mailbox = prekey === undefined ? undefined : mailboxOn(prekey, nowMs)
    // Until it comes back and announces another.
    if (prekey === undefined || mailbox === undefined) return this.#introductions.refused(member.id, nowMs)
    const to = { mailbox, sealKey: prekey.publicKey, expiresMs: nowMs + PACKET_EXPIRY_MS_MAX }
    this.#send(member.id, to, records, nowMs, (outcome) => {
      if (outcome === 'refused') return this.#introductions.refused(member.id, now())
      this.#introductions.introduced(member.id, now())
      meta.write(INTRODUCED, Introduced, this.#introductions.kept(log.mesh)).catch((error: unknown) => {
        logger.warn({ err: error }, 'it was not noted who was sent the log')
      })
    })
  }

  #send(
    member: NodeId | null,
    to: CopyTo,
    records: readonly SignedRecord[],
    beganMs: number,
    over: (outcome: 'kept' | 'refused') => void,
  ): void {
    const bytes = records.map((record) => record.bytes)
    const transfer = new LogTransfer(this.#deps, bytes, to, (outcome) => {
      this.#underWay = undefined
      over(outcome)
    })
    this.#underWay = { transfer, member, beganMs }
  }
}

const sameHeads = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((hash, at) => hash === b[at])
