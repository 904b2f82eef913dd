import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { compareText } from '@sealmesh/protocol/bytes'
import { missingOf } from '@sealmesh/protocol/drills/checks'
import type { DrillKind, Earlier, Phases } from '@sealmesh/protocol/drills/facts'
import { markdownOf } from '@sealmesh/protocol/drills/markdown'
import { decodeFiled, encodeFiled, type FiledReport, hashOfReport } from '@sealmesh/protocol/drills/report'
import type { AgentId, NodeId } from '@sealmesh/protocol/ids'
import type { Sodium } from '@sealmesh/protocol/sodium'
import { z } from 'zod'
import { makePrivateDirectory, writeDurably } from '../keys/durable-file.ts'
import type { Meta } from '../store/meta.ts'

export interface FiledEntry {
  readonly agent: AgentId
  readonly number: number
  readonly hash: string
  readonly kind: DrillKind
  readonly passed: boolean
  readonly rto: Phases
  readonly missing: number
  readonly atMs: number
  readonly standby: NodeId
  readonly holder: NodeId
  readonly file: string
}

const Attempts = z.record(
  z.string(),
  z.object({
    /** Since when drills of this agent are planned here. */
    sinceMs: z.number(),
    /** The last one that ended without a report. */
    failed: z.object({ atMs: z.number(), code: z.string(), message: z.string() }).nullable(),
  }),
)
type Attempts = z.infer<typeof Attempts>

const ATTEMPTS = 'drill-attempts'

/** Reports as files of the home, JSON and Markdown, for a person to take away; and what came to no report. */
export class DrillBook {
  readonly directory: string
  readonly #meta: Meta
  readonly #sodium: Sodium
  #entries: FiledEntry[]
  #attempts: Attempts

  private constructor(directory: string, meta: Meta, sodium: Sodium, entries: FiledEntry[], attempts: Attempts) {
    this.directory = directory
    this.#meta = meta
    this.#sodium = sodium
    this.#entries = entries
    this.#attempts = attempts
  }

  /** A file that is no report is passed over: `drill verify` says what is wrong with it. */
  static async load(directory: string, meta: Meta, sodium: Sodium): Promise<DrillBook> {
    await makePrivateDirectory(directory)
    const entries: FiledEntry[] = []
    for (const name of await readdir(directory)) {
      if (!name.endsWith('.json')) continue
      const file = join(directory, name)
      const filed = decodeFiled(await readFile(file))
      if (filed.ok) entries.push(entryOf(filed.value, file, sodium))
    }
    const attempts = (await meta.read(ATTEMPTS, Attempts)) ?? {}
    return new DrillBook(directory, meta, sodium, entries.toSorted(inOrder), attempts)
  }

  /** By agent, in the order of their chain. */
  all(): readonly FiledEntry[] {
    return this.#entries
  }

  last(agent: AgentId): FiledEntry | undefined {
    return this.#entries.findLast((each) => each.agent === agent)
  }

  /** The end of the agent's chain, as far as it is known here. */
  end(agent: AgentId): Earlier | null {
    const end = this.last(agent)
    return end === undefined ? null : { number: end.number, hash: end.hash }
  }

  /** Durable when it resolves. The same report again changes nothing. */
  async file(filed: FiledReport): Promise<FiledEntry> {
    const { report } = filed
    const hash = hashOfReport(report, this.#sodium)
    const known = this.#entries.find((each) => each.hash === hash)
    if (known !== undefined) return known
    const name = `${report.agent.name}-${String(report.number).padStart(4, '0')}-${hash.slice(0, 8)}`
    const file = join(this.directory, `${name}.json`)
    await makePrivateDirectory(this.directory)
    await writeDurably(
      join(this.directory, `${name}.md`),
      markdownOf(filed, hash, (ms) => new Date(ms).toISOString()),
    )
    await writeDurably(file, encodeFiled(filed))
    const entry = entryOf(filed, file, this.#sodium)
    this.#entries = [...this.#entries, entry].toSorted(inOrder)
    await this.#note(report.agent.id, (each) => ({ ...each, failed: null }))
    return entry
  }

  async read({ file }: FiledEntry): Promise<FiledReport | undefined> {
    const filed = decodeFiled(await readFile(file))
    return filed.ok ? filed.value : undefined
  }

  failure(agent: AgentId): { readonly atMs: number; readonly code: string; readonly message: string } | null {
    return this.#attempts[agent]?.failed ?? null
  }

  async failed(agent: AgentId, atMs: number, code: string, message: string): Promise<void> {
    await this.#note(agent, (each) => ({ ...each, failed: { atMs, code, message } }), atMs)
  }

  /** Since when drills are planned: noted with the first question. */
  async plannedSince(agent: AgentId, nowMs: number): Promise<number> {
    const known = this.#attempts[agent]
    if (known !== undefined) return known.sinceMs
    await this.#note(agent, (each) => each, nowMs)
    return nowMs
  }

  async #note(
    agent: AgentId,
    change: (each: Attempts[string]) => Attempts[string],
    nowMs = this.last(agent)?.atMs ?? 0,
  ): Promise<void> {
    const each = this.#attempts[agent] ?? { sinceMs: nowMs, failed: null }
    this.#attempts = { ...this.#attempts, [agent]: change(each) }
    await this.#meta.write(ATTEMPTS, Attempts, this.#attempts)
  }
}

function entryOf({ report }: FiledReport, file: string, sodium: Sodium): FiledEntry {
  return {
    agent: report.agent.id,
    number: report.number,
    hash: hashOfReport(report, sodium),
    kind: report.kind,
    passed: report.passed,
    rto: report.facts.rto,
    missing: missingOf(report.facts),
    atMs: report.facts.clock.endedAtMs,
    standby: report.standby.id,
    holder: report.holder.id,
    file,
  }
}

/** By their places, not their times: a clock that lied is one thing that drills find out. */
const inOrder = (a: FiledEntry, b: FiledEntry): number =>
  compareText(a.agent, b.agent) || a.number - b.number || a.atMs - b.atMs
