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

/** So much is noted as text before it is put away as bytes: that costs a tenth of doing it line by line. */
const CHUNK_BYTES = 65_536
/** Of one find: the messages that caused or answer one another. */
const MESSAGES_MAX = 64
/** Of one find; a message to a hundred agents has hundreds. */
const ENTRIES_MAX = 4_096
/** An id of one letter is found in every line. */
const LOOKS_MAX = 50_000

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * What happened to the latest messages, as lines in chunks of bytes: as objects they would cost the garbage collector
 * more than the messages themselves. Names and ids are ASCII and hold no blank, so a line needs no quotes.
 */
export class TraceBook {
  #chunks: Uint8Array[] = []
  #latest = ''
  readonly #chunksMax: number

  /** The oldest go once there are more bytes. */
  constructor(bytesMax: number) {
    this.#chunksMax = Math.max(1, Math.floor(bytesMax / CHUNK_BYTES) - 1)
  }

  get bytes(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.length, this.#latest.length)
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

  /** Oldest first; each is whole lines. */
  texts(): string[] {
    return [...this.#chunks.map((chunk) => decoder.decode(chunk)), this.#latest]
  }

  #write(line: string): void {
    if (this.#latest.length + line.length > CHUNK_BYTES) {
      if (this.#chunks.length >= this.#chunksMax) this.#chunks.shift()
      this.#chunks.push(encoder.encode(this.#latest))
      this.#latest = ''
    }
    this.#latest += line
  }
}

/** By the id of one, or a correlation id: that message, what caused it and what answers it, by the time of their beginning. */
export function tracesOf(id: string, books: readonly TraceBook[]): TracedMessage[] {
  const texts = books.flatMap((book) => book.texts())
  const heads = new Map<string, TraceHead>()
  const found = new Map<string, TraceEntry[]>()
  const wanted = new Set([id])
  let entries = 0
  // The set grows while it is gone through.
  for (const of of wanted)
    for (const words of linesWith(of, texts)) {
      const head = words.length > HEAD_AT ? headOf(words) : undefined
      if (words[2] !== of) {
        // Another message that names this one.
        const isRelated = head !== undefined && (head.correlation === of || head.parents.includes(of))
        if (isRelated && wanted.size < MESSAGES_MAX) wanted.add(head.id)
        continue
      }
      const entry = entries < ENTRIES_MAX ? entryOf(words) : undefined
      if (entry !== undefined) {
        entries += 1
        const known = found.get(of)
        if (known === undefined) found.set(of, [entry])
        else known.push(entry)
      }
      if (head === undefined) continue
      heads.set(of, head)
      const causes = head.correlation === null ? head.parents : [head.correlation, ...head.parents]
      for (const cause of causes) if (wanted.size < MESSAGES_MAX) wanted.add(cause)
    }
  return [...found]
    .map(([of, all]) => ({ id: of, head: heads.get(of) ?? null, entries: all.toSorted((a, b) => a.atMs - b.atMs) }))
    .toSorted((a, b) => (a.entries[0]?.atMs ?? 0) - (b.entries[0]?.atMs ?? 0))
}

/** In words. Lines that only look like it are for the caller to tell apart. */
function* linesWith(id: string, texts: readonly string[]): Generator<string[]> {
  let looks = 0
  for (const text of texts)
    for (let at = text.indexOf(id); at !== -1 && looks < LOOKS_MAX; looks++) {
      const end = text.indexOf('\n', at)
      yield text.slice(text.lastIndexOf('\n', at) + 1, end).split(' ')
      at = text.indexOf(id, end)
    }
}

/** Where the words of a head begin. */
const HEAD_AT = 6

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
