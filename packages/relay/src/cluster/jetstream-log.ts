import { randomBytes } from 'node:crypto'
import type { ChunkId, MeshId, VaultId } from '@sealmesh/protocol/ids'
import {
  createInbox,
  headers,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  RequestError,
} from '@nats-io/transport-node'
import type { AppendResult, HomeRecord, LogEntry, LogPart, MeshLog } from './log.ts'
import {
  admittedSubject,
  chunkSubject,
  claimSubject,
  CLUSTER_STREAM,
  homeSubject,
  meshPrefix,
  shardOf,
  shardStream,
  VAULT_STREAM,
} from './subjects.ts'

/**
 * The log on JetStream: atomic batches (nats-server 2.12), direct get in batches, purges. It makes no consumer.
 * Everything but direct get is answered by a stream's leader; direct get by any replica, which may be a little behind.
 */

const ANSWER_MS = 5_000
/** What one direct get brings at most: it is in memory until it has been taken. */
const LOAD_BYTES = 4 * 1_048_576
const BEHIND_MS = 50
/** A replica that stays behind for so long has lost touch. */
const BEHIND_TRIES = 100
/** A row that says that there is nothing is itself gone after this. Longer than any load. */
const GONE_AFTER = '600s'
const CLAIM_GONE_AFTER = '172800s' // Twice the life of a code.

const WRONG_LAST_SEQUENCE = new Set([10_071, 10_164])
const NO_ROOM = new Set([10_023, 10_028, 10_047, 10_077])

interface Answer {
  readonly error?: { readonly code: number; readonly err_code: number }
  readonly seq?: number
  readonly count?: number
  readonly success?: boolean
}

export class JetStreamLog implements MeshLog {
  readonly #nats: NatsConnection

  constructor(nats: NatsConnection) {
    this.#nats = nats
  }

  async append(_shard: number, parts: readonly LogPart[]): Promise<AppendResult> {
    const id = randomBytes(12).toString('hex')
    const total = parts.reduce((sum, { messages }) => sum + messages.length, 0)
    let number = 0
    let answer: Promise<Answer | 'nobody' | 'silent'> = Promise.resolve('silent')
    for (const { mesh, fence, messages } of parts) {
      for (const [index, { subject, payload, kind, sequence }] of messages.entries()) {
        number += 1
        const head = headers()
        // A batch of one is a message.
        if (total > 1) {
          head.set('Nats-Batch-Id', id)
          head.set('Nats-Batch-Sequence', String(number))
          if (number === total) head.set('Nats-Batch-Commit', '1')
        }
        if (index === 0) {
          head.set('Nats-Expected-Last-Subject-Sequence', String(fence))
          head.set('Nats-Expected-Last-Subject-Sequence-Subject', homeSubject(mesh))
        }
        if (sequence !== undefined) head.set('Sm-Sequence', String(sequence))
        if (kind !== 'packet') head.set('Nats-Rollup', 'sub')
        if (kind === 'gone') {
          head.set('Sm-Gone', '1')
          head.set('Nats-TTL', GONE_AFTER)
        }
        if (number < total) this.#nats.publish(subject, payload, { headers: head })
        else answer = this.#ask(subject, payload, head)
      }
    }
    const said = await answer
    if (said === 'silent') return { type: 'unknown' }
    if (said === 'nobody') return { type: 'refused', full: false }
    if (said.error !== undefined) {
      const { err_code: code } = said.error
      if (WRONG_LAST_SEQUENCE.has(code)) return { type: 'fenced' }
      return { type: 'refused', full: NO_ROOM.has(code) }
    }
    return said.seq === undefined ? { type: 'unknown' } : { type: 'stored', first: said.seq - total + 1 }
  }

  async home(mesh: MeshId): Promise<HomeRecord | null> {
    const found = await this.#last(shardStream(shardOf(mesh)), homeSubject(mesh))
    return found === null ? null : { instance: Buffer.from(found.payload).toString(), fence: found.place }
  }

  async isAdmitted(mesh: MeshId): Promise<boolean> {
    return (await this.#last(shardStream(shardOf(mesh)), admittedSubject(mesh))) !== null
  }

  async take(mesh: MeshId, instance: string, before: number): Promise<number | null> {
    return await this.replace(homeSubject(mesh), Buffer.from(instance), before)
  }

  /** Compare-and-set of one row: its new place, or null when another came first. */
  async replace(subject: string, payload: Uint8Array, before: number, ttl?: string): Promise<number | null> {
    const head = headers()
    head.set('Nats-Expected-Last-Subject-Sequence', String(before))
    head.set('Nats-Rollup', 'sub')
    if (ttl !== undefined) head.set('Nats-TTL', ttl)
    const said = await this.#ask(subject, payload, head)
    if (said === 'silent' || said === 'nobody') throw new Error('JetStream does not answer')
    if (said.error !== undefined && WRONG_LAST_SEQUENCE.has(said.error.err_code)) return null
    if (said.error !== undefined || said.seq === undefined) throw new Error('JetStream refuses')
    return said.seq
  }

  async load(mesh: MeshId, fence: number, take: (entry: LogEntry) => void): Promise<void> {
    const filter = `${meshPrefix(mesh)}.>`
    let next = 1
    let tries = 0
    for (;;) {
      const found = await this.#batch(shardStream(shardOf(mesh)), { seq: next, next_by_subj: filter, batch: 10_000 })
      for (const entry of found) {
        next = entry.place + 1
        take(entry)
        // The home's own record: nothing that counts comes after it, and a replica that has it has all before.
        if (entry.place >= fence) return
      }
      if (found.length > 0) continue
      if (++tries > BEHIND_TRIES) throw new Error('a replica stays behind')
      await new Promise((resolve) => setTimeout(resolve, BEHIND_MS))
    }
  }

  async read(shard: number, subject: string, places: readonly number[]): Promise<LogEntry[]> {
    if (places.length === 0) return []
    const first = places.reduce((a, b) => Math.min(a, b))
    const last = places.reduce((a, b) => Math.max(a, b))
    const wanted = new Set(places)
    const found: LogEntry[] = []
    for (let next = first; next <= last; ) {
      const batch = await this.#batch(shardStream(shard), { seq: next, next_by_subj: subject, batch: places.length })
      if (batch.length === 0) break
      for (const entry of batch) {
        next = entry.place + 1
        if (wanted.delete(entry.place)) found.push(entry)
      }
    }
    if (wanted.size === 0) return found
    // What a replica does not have yet its leader has; what the leader does not have is gone.
    for (const place of wanted) {
      const entry = await this.#fromLeader(shardStream(shard), place)
      if (entry !== null && entry.subject === subject) found.push(entry)
    }
    return found
  }

  async purge(shard: number, subject: string, before: number): Promise<void> {
    await this.#api(`STREAM.PURGE.${shardStream(shard)}`, { filter: subject, seq: before })
  }

  async remove(shard: number, places: readonly number[]): Promise<void> {
    const remove = (seq: number): Promise<unknown> =>
      this.#api(`STREAM.MSG.DELETE.${shardStream(shard)}`, { seq, no_erase: true }, [404, 400])
    await Promise.all(places.map(remove))
  }

  async putChunk(mesh: MeshId, vault: VaultId, chunk: ChunkId, bytes: Uint8Array): Promise<number> {
    const head = headers()
    head.set('Nats-Rollup', 'sub')
    const said = await this.#ask(chunkSubject(mesh, vault, chunk), bytes, head)
    if (typeof said === 'string' || said.error !== undefined || said.seq === undefined)
      throw new Error('JetStream does not take a chunk')
    return said.seq
  }

  async readChunk(mesh: MeshId, vault: VaultId, chunk: ChunkId): Promise<Uint8Array | null> {
    const subject = chunkSubject(mesh, vault, chunk)
    const found = await this.#last(VAULT_STREAM, subject)
    return (found ?? (await this.#lastFromLeader(VAULT_STREAM, subject)))?.payload ?? null
  }

  async dropChunk(mesh: MeshId, vault: VaultId, chunk: ChunkId, place: number): Promise<void> {
    await this.#api(`STREAM.PURGE.${VAULT_STREAM}`, { filter: chunkSubject(mesh, vault, chunk), seq: place + 1 })
  }

  async spendClaim(claim: string, mesh: MeshId): Promise<boolean> {
    const subject = claimSubject(claim)
    const found = await this.#lastFromLeader(CLUSTER_STREAM, subject)
    const content = found === null ? '' : Buffer.from(found.payload).toString()
    if (content.startsWith('spent ')) return content === `spent ${mesh}`
    const before = found?.place ?? 0
    return (await this.replace(subject, Buffer.from(`spent ${mesh}`), before, CLAIM_GONE_AFTER)) !== null
  }

  /** The last row of a subject, as the leader has it. */
  async row(stream: string, subject: string): Promise<LogEntry | null> {
    return await this.#lastFromLeader(stream, subject)
  }

  /** All rows under a filter, in order; at most `max`. */
  async rows(stream: string, filter: string, max: number): Promise<LogEntry[]> {
    return await this.#batch(stream, { seq: 1, next_by_subj: filter, batch: max })
  }

  async #ask(subject: string, payload: Uint8Array, head: MsgHdrs): Promise<Answer | 'nobody' | 'silent'> {
    try {
      const said = await this.#nats.request(subject, payload, { headers: head, timeout: ANSWER_MS })
      return said.json<Answer>()
    } catch (error) {
      // Nobody listens on the subject: JetStream has no leader there, so nothing was taken.
      if (error instanceof RequestError && error.isNoResponders()) return 'nobody'
      return 'silent'
    }
  }

  async #api(subject: string, question: object, tolerated: readonly number[] = []): Promise<Answer> {
    const said = await this.#nats.request(`$JS.API.${subject}`, JSON.stringify(question), { timeout: ANSWER_MS })
    const answer = said.json<Answer>()
    if (answer.error !== undefined && !tolerated.includes(answer.error.code))
      throw new Error(`JetStream refuses: ${answer.error.err_code}`)
    return answer
  }

  async #last(stream: string, subject: string): Promise<LogEntry | null> {
    const said = await this.#nats.request(`$JS.API.DIRECT.GET.${stream}.${subject}`, undefined, { timeout: ANSWER_MS })
    if (said.headers?.code === 404) return null
    const entry = entryOf(said)
    if (entry === null) throw new Error('JetStream does not answer a direct get')
    return entry.isGone ? null : entry
  }

  async #fromLeader(stream: string, seq: number): Promise<LogEntry | null> {
    return await this.#get(stream, { seq })
  }

  async #lastFromLeader(stream: string, subject: string): Promise<LogEntry | null> {
    const entry = await this.#get(stream, { last_by_subj: subject })
    return entry?.isGone === true ? null : entry
  }

  async #get(stream: string, question: object): Promise<LogEntry | null> {
    const said = await this.#nats.request(`$JS.API.STREAM.MSG.GET.${stream}`, JSON.stringify(question), {
      timeout: ANSWER_MS,
    })
    const answer = said.json<
      Answer & { message?: { subject: string; seq: number; time: string; data?: string; hdrs?: string } }
    >()
    if (answer.error?.code === 404) return null
    const { message } = answer
    if (message === undefined) throw new Error('JetStream does not answer a get')
    return {
      subject: message.subject,
      place: message.seq,
      sequence: 0,
      atMs: Date.parse(message.time),
      payload: Buffer.from(message.data ?? '', 'base64'),
      isGone: Buffer.from(message.hdrs ?? '', 'base64').includes('Sm-Gone'),
    }
  }

  /** One direct get of many messages. Stops early where the server does. */
  #batch(stream: string, question: { seq: number; next_by_subj: string; batch: number }): Promise<LogEntry[]> {
    const inbox = createInbox()
    return new Promise((resolve, reject) => {
      const found: LogEntry[] = []
      const end = (error?: Error): void => {
        clearTimeout(timer)
        subscription.unsubscribe()
        if (error === undefined) resolve(found)
        else reject(error)
      }
      const timer = setTimeout(() => end(new Error('JetStream does not answer a direct get')), ANSWER_MS)
      const subscription = this.#nats.subscribe(inbox, {
        callback: (error, message) => {
          if (error !== null) return end(error)
          timer.refresh()
          const code = message.headers?.code ?? 0
          // 204: the last of the batch has come; 404: there is nothing further.
          if (code === 204 || code === 404) return end()
          const entry = entryOf(message)
          if (entry === null) return end(new Error(`JetStream refuses a direct get: ${code}`))
          found.push(entry)
        },
      })
      const asked = { ...question, max_bytes: LOAD_BYTES }
      this.#nats.publish(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(asked), { reply: inbox })
    })
  }
}

function entryOf({ headers: head, data }: Msg): LogEntry | null {
  const subject = head?.get('Nats-Subject')
  if (head === undefined || subject === undefined || subject === '') return null
  return {
    subject,
    place: Number(head.get('Nats-Sequence')),
    sequence: Number(head.get('Sm-Sequence')),
    atMs: Date.parse(head.get('Nats-Time-Stamp')),
    payload: data,
    isGone: head.has('Sm-Gone'),
  }
}
