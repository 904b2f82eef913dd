import { z } from 'zod'
import type { AgentId, MeshId, NodeId, RecordHash } from '../ids.ts'

/** What two nodes observed in a drill: numbers and names, never anything that a document says (docs/spec/14-drills.md §3). */

export const DRILL_KINDS = ['shadow', 'switchover', 'kill'] as const
export type DrillKind = (typeof DRILL_KINDS)[number]

/** An agent's layers that one report tells of: as many as one may have documents of, for a person to read. */
export const LAYERS_MAX = 256
/** Runs of unacknowledged blocks that are listed; the count is always whole. */
export const RUNS_MAX = 100

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`))
export const Hash = hex(32)
export const Signed = hex(64)
export const DrillId = hex(16)
export const Count = z.number().int().nonnegative()
const WallMs = z.number().int().nonnegative()
const idOf = <Id extends string>() => Hash.transform((text) => text as Id)
export const Node = idOf<NodeId>()
export const Agent = idOf<AgentId>()
export const MeshHash = idOf<MeshId>()
const Layer = z.string().min(1).max(64)
const Layers = z.array(Layer).max(LAYERS_MAX)

export const TermFact = z.strictObject({ number: Count, record: idOf<RecordHash>() })
export type TermFact = z.infer<typeof TermFact>

export const Earlier = z.strictObject({ number: Count, hash: Hash })
/** A report of the agent by its place in their chain. */
export type Earlier = z.infer<typeof Earlier>

/** Where the holder stood at one moment: what the standby has to come to by itself. */
export const RecoveryPoint = z.strictObject({
  drill: DrillId,
  mesh: MeshHash,
  agent: Agent,
  holder: Node,
  standby: Node,
  term: TermFact,
  /** By the holder's wall clock. */
  atMs: WallMs,
  /** Documents that the standby may read, by the holder's log. `vector` is a vector's digest (03-blocks §2). */
  layers: z
    .array(z.strictObject({ layer: Layer, vector: Hash, digest: Hash, blocks: Count, unacknowledged: Count }))
    .max(LAYERS_MAX),
  /** What the standby had not receipted: `from` to `to` of an incarnation. */
  unacknowledged: z.array(z.strictObject({ layer: Layer, incarnation: hex(16), from: Count, to: Count })).max(RUNS_MAX),
  /** When the oldest of these was written. */
  oldestUnacknowledgedMs: WallMs.nullable(),
  /** Documents of the agent that the standby may not read: by name where a grant of the log names the layer. */
  notGranted: z.strictObject({ named: Layers, others: Count }),
  /** The agent's last report, as far as the two know. */
  previous: Earlier.nullable(),
})
export type RecoveryPoint = z.infer<typeof RecoveryPoint>

/** A document as the standby rebuilt it. */
export const RebuiltLayer = z.strictObject({
  layer: Layer,
  blocks: Count,
  missing: Count,
  /** Of these, what the standby had receipted to the holder. */
  missingAcknowledged: Count,
  /** Blocks that are not what their author signed. */
  badSignatures: Count,
  /** Null when nothing could be rebuilt. */
  digest: Hash.nullable(),
  /** The same from the live store, after the drill. */
  liveDigest: Hash.nullable(),
})
export type RebuiltLayer = z.infer<typeof RebuiltLayer>

const Phase = Count.nullable()
const Stands = z.array(z.strictObject({ layer: Layer, blocks: Count, digest: Hash })).max(LAYERS_MAX)

/** From a term in the log to the first act under it, at the node that gained it. */
export const Gained = z.strictObject({ catchUpMs: Count, activateMs: Count, firstActMs: Count })
export type Gained = z.infer<typeof Gained>

/** What nothing was seen of, or is no part of that kind of drill, is null. */
export const Phases = z.strictObject({
  freezeMs: Phase,
  drainMs: Phase,
  detectMs: Phase,
  decideMs: Phase,
  acquireMs: Phase,
  catchUpMs: Phase,
  activateMs: Phase,
  firstActMs: Phase,
})
export type Phases = z.infer<typeof Phases>

/** What became of the agent in a drill that moves it. */
export const Moved = z.strictObject({
  /** At the standby, once it could act. `missing`: blocks that the holder had acknowledged and that are not there. */
  there: z.strictObject({ term: TermFact, missing: Count, layers: Stands }).nullable(),
  back: z.strictObject({ term: TermFact, phases: Phases }).nullable(),
  /** By the standby's log, at the end. */
  heldBy: Node,
  /** Why it did not come to its end; null: it did. */
  stopped: z.string().max(200).nullable(),
})
export type Moved = z.infer<typeof Moved>

export const HolderAfter = z.strictObject({
  term: TermFact.nullable(),
  /** Whether it may act for the agent. */
  may: z.boolean(),
  /** In a drill that moves the agent: how it got it back. */
  gained: Gained.nullable(),
  /** Blocks that were late at the end and had not been before: written at the holder, and nowhere else in time. */
  late: Count,
  layers: Stands,
  /** Median of its own commits in microseconds, and how many there were. */
  latency: z.strictObject({ beforeUs: Count, beforeCount: Count, duringUs: Count, duringCount: Count }),
})
export type HolderAfter = z.infer<typeof HolderAfter>

export const DrillFacts = z.strictObject({
  point: RecoveryPoint,
  pointSignature: Signed,
  /** Whether the standby had everything of the point within its time. */
  reached: z.boolean(),
  /** Layers of the agent that the standby may read by its own log, and those that lie on its disk. */
  readable: Layers,
  kept: Layers,
  layers: z.array(RebuiltLayer).max(LAYERS_MAX),
  /** Entries of the diary that hold more than metadata. */
  diaryContents: Count,
  /** Wall and monotonic clock of the standby, side by side. */
  clock: z.strictObject({
    askedAtMs: WallMs,
    answeredAtMs: WallMs,
    endedAtMs: WallMs,
    answeredAfterMs: Count,
    endedAfterMs: Count,
  }),
  /** The standby's term of the agent before and after. */
  termBefore: TermFact.nullable(),
  termAfter: TermFact.nullable(),
  /** Null: it was not heard again, and only the standby has signed. */
  holderAfter: HolderAfter.nullable(),
  /** Null in a drill that moves nothing. */
  moved: Moved.nullable(),
  /** When what is sealed to each could not be opened any more; null: there is no live prekey. */
  prekeys: z.strictObject({ standbyUntilMs: WallMs.nullable(), holderUntilMs: WallMs.nullable() }),
  /** Of the way to the standby. */
  rto: Phases,
  sandboxRemoved: z.boolean(),
})
export type DrillFacts = z.infer<typeof DrillFacts>

export const DrillTargets = z.strictObject({
  rtoMs: Count.nullable(),
  /** How old a write may be that is not acknowledged. */
  rpoMs: Count.nullable(),
  everyMs: Count.nullable(),
})
export type DrillTargets = z.infer<typeof DrillTargets>
