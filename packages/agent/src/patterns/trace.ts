import type { Message } from '@sealmesh/protocol/messages/message'

/** One thing that happened in a pattern. Holds names and ids, never what was said. */
export interface TraceEntry {
  readonly atMs: number
  /** Whose trace it is: those of several agents can be put together. */
  readonly self: string
  /** `task`, `vote`, …: and the id of the one it is about, which is its messages' correlation. */
  readonly pattern: string
  readonly id: string
  /** The task that was passed on as this one, or the round that this vote decides. */
  readonly partOf?: string
  readonly event: string
  readonly agent?: string
  readonly detail?: string
  readonly message?: string
  /** Messages that caused this one. */
  readonly parents?: readonly string[]
}

/** A busy hour of one agent; the oldest go first. */
const ENTRIES_MAX = 4_096

export class Trace {
  readonly #entries: TraceEntry[] = []

  note(entry: TraceEntry): void {
    this.#entries.push(entry)
    if (this.#entries.length > ENTRIES_MAX) this.#entries.shift()
  }

  heard(self: string, pattern: string, message: Message, atMs: number): void {
    const { id, correlation, from, type, parents } = message
    this.note({ atMs, self, pattern, id: correlation ?? id, event: `got ${type}`, agent: from, message: id, parents })
  }

  get entries(): readonly TraceEntry[] {
    return this.#entries
  }
}

/**
 * What happened to `id`, and to all that its messages caused, one line each. What a message caused stands below it,
 * further in; several agents' entries may be given together.
 */
export function traceLines(entries: readonly TraceEntry[], id: string): string[] {
  const wanted = related(entries, id)
  const depths = new Map<string, number>()
  return entries
    .filter((entry) => wanted.has(entry.id))
    .map((entry, place) => ({ entry, place }))
    .sort((a, b) => a.entry.atMs - b.entry.atMs || a.place - b.place)
    .map(({ entry }) => {
      const depth = Math.max(0, ...(entry.parents ?? []).map((parent) => (depths.get(parent) ?? 0) + 1))
      if (entry.message !== undefined) depths.set(entry.message, depth)
      return lineOf(entry, depth)
    })
}

function related(entries: readonly TraceEntry[], id: string): ReadonlySet<string> {
  const ids = new Set([id])
  for (let size = 0; size !== ids.size; ) {
    size = ids.size
    const messages = new Set(entries.filter((entry) => ids.has(entry.id)).map(({ message }) => message))
    for (const entry of entries)
      if (entry.partOf !== undefined && ids.has(entry.partOf)) ids.add(entry.id)
      else if (entry.parents?.some((parent) => messages.has(parent))) ids.add(entry.id)
  }
  return ids
}

function lineOf({ atMs, self, pattern, id, event, agent, detail, message }: TraceEntry, depth: number): string {
  const parts = [new Date(atMs).toISOString(), `${'  '.repeat(depth)}${self}`, pattern, id, event]
  if (agent !== undefined) parts.push(agent)
  if (detail !== undefined) parts.push(`(${detail})`)
  if (message !== undefined) parts.push(`#${message}`)
  return parts.join(' ')
}
