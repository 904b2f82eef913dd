import type { MeshId } from '@sealmesh/protocol/ids'
import type { AppendResult, HomeRecord, LogEntry, LogPart, MeshLog } from '@sealmesh/relay/cluster/log'
import { homeSubject, meshPrefix } from '@sealmesh/relay/cluster/subjects'

/** What happens to one question: when it takes effect and when it is answered, in turns, and whether an answer comes. */
export interface Fate {
  readonly beforeTurns: number
  readonly afterTurns: number
  readonly isAnswered: boolean
  /** Otherwise it was lost on the way there, and nobody is told that. */
  readonly isHeard: boolean
}

/** One log that several instances share, in memory: compare-and-set and atomic batches as JetStream has them. */
export class MemoryLog {
  readonly entries: LogEntry[] = []
  #place = 0

  /** As one instance sees it. Nothing of it takes effect or answers once `isAlive` says no. */
  seenBy(isAlive: () => boolean, fate: () => Fate): MeshLog {
    const ask = async <T>(act: () => T): Promise<T> => {
      const { beforeTurns, afterTurns, isAnswered, isHeard } = fate()
      await turns(beforeTurns)
      if (!isAlive()) return await new Promise<T>(() => undefined)
      if (!isHeard) throw new Error('no answer')
      const result = act()
      await turns(afterTurns)
      if (!isAlive()) return await new Promise<T>(() => undefined)
      if (!isAnswered) throw new Error('no answer')
      return result
    }
    const none = async (): Promise<never> => await Promise.reject(new Error('not of this test'))
    return {
      append: async (_shard, parts) =>
        await ask(() => this.#append(parts)).catch((): AppendResult => ({ type: 'unknown' })),
      home: (mesh) => ask(() => this.#home(mesh)),
      isAdmitted: () => ask(() => true),
      take: (mesh, instance, before) => ask(() => this.#take(mesh, instance, before)),
      load: async (mesh, fence, take) => {
        const prefix = `${meshPrefix(mesh)}.`
        const found = await ask(() =>
          this.entries.filter((each) => each.subject.startsWith(prefix) && each.place <= fence),
        )
        for (const each of found) take(each)
      },
      read: (_shard, subject, places) =>
        ask(() => this.entries.filter((each) => each.subject === subject && places.includes(each.place))),
      purge: (_shard, subject, before) =>
        ask(() => this.#drop((each) => each.subject === subject && each.place < before)),
      remove: (_shard, places) => ask(() => this.#drop((each) => places.includes(each.place))),
      putChunk: none,
      readChunk: none,
      dropChunk: none,
      spendClaim: none,
    }
  }

  #append(parts: readonly LogPart[]): AppendResult {
    if (parts.some(({ mesh, fence }) => this.#home(mesh)?.fence !== fence)) return { type: 'fenced' }
    const first = this.#place + 1
    for (const { messages } of parts)
      for (const { subject, payload, kind, sequence = 0 } of messages) {
        if (kind !== 'packet') this.#drop((each) => each.subject === subject)
        this.entries.push({ subject, payload, sequence, place: ++this.#place, atMs: 0, isGone: kind === 'gone' })
      }
    return { type: 'stored', first }
  }

  #home(mesh: MeshId): HomeRecord | null {
    const found = this.entries.find(({ subject }) => subject === homeSubject(mesh))
    return found === undefined ? null : { instance: Buffer.from(found.payload).toString(), fence: found.place }
  }

  #take(mesh: MeshId, instance: string, before: number): number | null {
    if ((this.#home(mesh)?.fence ?? 0) !== before) return null
    const subject = homeSubject(mesh)
    this.#drop((each) => each.subject === subject)
    const place = ++this.#place
    this.entries.push({ subject, payload: Buffer.from(instance), sequence: 0, place, atMs: 0, isGone: false })
    return place
  }

  #drop(goes: (entry: LogEntry) => boolean): void {
    this.entries.splice(0, this.entries.length, ...this.entries.filter((each) => !goes(each)))
  }
}

export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}
