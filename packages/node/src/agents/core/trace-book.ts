/** What may happen to a message, in no order: it may be handed out twice, and be acknowledged on one of two machines. */
export const TRACE_EVENTS = [
  /** Its sender's machine has it, under its final id. */
  'sent',
  /** Came from another machine. */
  'received',
  /** On disk here, for a recipient here or on its way to another machine. */
  'kept',
  /** Found on the disk when the node started. */
  'found',
  /** Left in a packet for another machine. */
  'packet',
  /** In an inbox: of this machine, or of the one that it was sent to. */
  'taken',
  'handed',
  'acknowledged',
  /** No room, for now where it is on its way to another machine. */
  'full',
  /** The ends that are not good ones. */
  'refused',
  'expired',
  'dropped',
  /** Goes to another machine than before. */
  'moved',
] as const
export type TraceEvent = (typeof TRACE_EVENTS)[number]

/** One thing that happened to one message. */
export interface TraceEntry {
  /** By the clock of `machine`, in milliseconds since 1970. */
  readonly atMs: number
  readonly event: TraceEvent
  readonly id: string
  /** Where it happened. */
  readonly machine: string
  /** The recipient that it is about; null for what is about all of them. */
  readonly agent: string | null
  /** The other machine that it was sent to. */
  readonly to: string | null
}

/** What a message says of itself; with `sent` and `received`. */
export interface TraceHead {
  readonly id: string
  readonly from: string
  readonly to: string
  readonly type: string
  readonly correlation: string | null
  readonly parents: readonly string[]
}

/** A message with what is known of it, in the order of times. */
export interface TracedMessage {
  readonly id: string
  /** Null where this machine knows only what became of it. */
  readonly head: TraceHead | null
  readonly entries: readonly TraceEntry[]
}

const CHUNK_BYTES = 65_536
/** Of one find: the messages that caused or answer one another. */
const MESSAGES_MAX = 64
/** Of one find; a message to a hundred agents has hundreds. */
const ENTRIES_MAX = 4_096

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * What happened to the latest messages, as lines in chunks of bytes: as objects they would cost the garbage collector
 * more than the messages themselves. Names and ids hold no blank, so a line needs no quotes.
 */
export class TraceBook {
  readonly #chunks: { readonly bytes: Uint8Array; used: number }[] = []
  readonly #chunksMax: number

  /** The oldest go once there are more bytes. */
  constructor(bytesMax: number) {
    this.#chunksMax = Math.max(2, Math.floor(bytesMax / CHUNK_BYTES))
  }

  get bytes(): number {
    return this.#chunks.length * CHUNK_BYTES
  }

  add({ atMs, event, id, machine, agent, to }: TraceEntry): void {
    this.#write(`${atMs} ${event} ${id} ${machine} ${agent ?? '-'} ${to ?? '-'}\n`)
  }

  open({ atMs, event, machine }: Omit<TraceEntry, 'agent' | 'to' | 'id'>, head: TraceHead): void {
    const { id, from, to, type, correlation, parents } = head
    this.#write(
      `${atMs} ${event} ${id} ${machine} - - ${from} ${to} ${type} ${correlation ?? '-'} ${parents.join(',') || '-'}\n`,
    )
  }

  /** Oldest first, in words. */
  lines(): string[][] {
    return this.#chunks.flatMap(({ bytes, used }) =>
      decoder
        .decode(bytes.subarray(0, used))
        .split('\n')
        .flatMap((line) => (line === '' ? [] : [line.split(' ')])),
    )
  }

  #write(line: string): void {
    let chunk = this.#chunks.at(-1)
    if (chunk === undefined || chunk.used + line.length > CHUNK_BYTES) {
      const oldest = this.#chunks.length >= this.#chunksMax ? this.#chunks.shift() : undefined
      chunk = { bytes: oldest?.bytes ?? new Uint8Array(CHUNK_BYTES), used: 0 }
      this.#chunks.push(chunk)
    }
    const { read, written } = encoder.encodeInto(line, chunk.bytes.subarray(chunk.used))
    if (read === line.length) chunk.used += written
  }
}

/** By the id of one, or a correlation id: that message, what caused it and what answers it, by the time of their beginning. */
export function tracesOf(id: string, books: readonly TraceBook[]): TracedMessage[] {
  const lines = books.flatMap((book) => book.lines())
  const heads = new Map<string, TraceHead>()
  for (const words of lines) if (words.length > HEAD_AT) heads.set(words[2] ?? '', headOf(words))
  const wanted = related(id, heads)
  const found = new Map<string, TraceEntry[]>()
  let entries = 0
  for (const words of lines) {
    const of = words[2] ?? ''
    const entry = wanted.has(of) && entries < ENTRIES_MAX ? entryOf(words) : undefined
    if (entry === undefined) continue
    entries += 1
    const known = found.get(of)
    if (known === undefined) found.set(of, [entry])
    else known.push(entry)
  }
  return [...found]
    .map(([of, all]) => ({ id: of, head: heads.get(of) ?? null, entries: all.toSorted((a, b) => a.atMs - b.atMs) }))
    .toSorted((a, b) => (a.entries[0]?.atMs ?? 0) - (b.entries[0]?.atMs ?? 0))
}

/** Where the words of a head begin. */
const HEAD_AT = 6

function related(id: string, heads: ReadonlyMap<string, TraceHead>): ReadonlySet<string> {
  const wanted = new Set([id])
  for (let before = 0; before < wanted.size && wanted.size < MESSAGES_MAX; ) {
    before = wanted.size
    for (const head of heads.values()) {
      const others = head.correlation === null ? head.parents : [head.correlation, ...head.parents]
      if (wanted.has(head.id)) for (const other of others) wanted.add(other)
      else if (others.some((other) => wanted.has(other))) wanted.add(head.id)
      if (wanted.size >= MESSAGES_MAX) break
    }
  }
  return wanted
}

function headOf(words: readonly string[]): TraceHead {
  const [from = '', to = '', type = '', correlation = '-', parents = '-'] = words.slice(HEAD_AT)
  return {
    id: words[2] ?? '',
    from,
    to,
    type,
    correlation: orNull(correlation),
    parents: parents === '-' ? [] : parents.split(','),
  }
}

function entryOf([atMs, event, id = '', machine = '', agent = '-', to = '-']: readonly string[]):
  | TraceEntry
  | undefined {
  const known = TRACE_EVENTS.find((each) => each === event)
  return known && { atMs: Number(atMs), event: known, id, machine, agent: orNull(agent), to: orNull(to) }
}

const orNull = (word: string): string | null => (word === '-' ? null : word)
