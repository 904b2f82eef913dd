import { z } from 'zod'
import { decode, encode, fromUtf8 } from '../bytes.ts'
import { readClock, type VersionVector, writeClock } from '../crdt/clock.ts'
import { DRILL_BODY_BYTES_MAX, VECTOR_ENTRIES_MAX } from '../limits.ts'
import { fromBase64Url, toBase64Url } from '../pairing/base64url.ts'
import { canonicalBytes } from './canonical.ts'
import { Report } from './report.ts'
import {
  Agent,
  Count,
  DRILL_KINDS,
  Earlier,
  HolderAfter,
  LAYERS_MAX,
  RecoveryPoint,
  Signed,
  TermFact,
} from './facts.ts'

/** What standby and holder say to each other in a drill, as JSON in a *drill* item (docs/spec/14-drills.md §4). */

export const REASONS_MAX = 16

const Vector = z.string()
const Vectors = z.array(Vector).max(LAYERS_MAX)

export const DrillWord = z.discriminatedUnion('word', [
  /** Standby: where do you stand with this agent? */
  z.strictObject({ word: z.literal('ask'), agent: Agent, kind: z.enum(DRILL_KINDS), last: Earlier.nullable() }),
  /** Holder: not now. */
  z.strictObject({ word: z.literal('refused'), reasons: z.array(z.string().max(200)).min(1).max(REASONS_MAX) }),
  z.strictObject({
    word: z.literal('point'),
    point: RecoveryPoint,
    signature: Signed,
    /** In the order of its layers: what is there, and what the standby has receipted of it. */
    vectors: z.array(z.strictObject({ vector: Vector, receipted: Vector })).max(LAYERS_MAX),
  }),
  /** Standby: hand it over to me now. */
  z.strictObject({ word: z.literal('move') }),
  z.strictObject({
    word: z.literal('moved'),
    term: TermFact,
    freezeMs: Count,
    drainMs: Count.nullable(),
    acquireMs: Count,
    /** In the order of the point's layers: all that this node has. */
    vectors: Vectors,
  }),
  /** Standby: end yourself now. */
  z.strictObject({ word: z.literal('kill') }),
  z.strictObject({ word: z.literal('dying'), vectors: Vectors }),
  /** Standby: are you there, that I may hand it back? */
  z.strictObject({ word: z.literal('back') }),
  z.strictObject({ word: z.literal('ready') }),
  /** Standby: the rebuilding is over, the sandbox is gone. */
  z.strictObject({ word: z.literal('done') }),
  z.strictObject({ word: z.literal('after'), after: HolderAfter }),
  /** Standby: sign this. */
  z.strictObject({ word: z.literal('report'), report: Report, signature: Signed }),
  z.strictObject({ word: z.literal('signed'), signature: Signed }),
])
export type DrillWord = z.infer<typeof DrillWord>

export const encodeWord = (word: DrillWord): Uint8Array => canonicalBytes(word)

/** From a member, which may be compromised. Never throws. */
export function decodeWord(bytes: Uint8Array): DrillWord | undefined {
  if (bytes.length > DRILL_BODY_BYTES_MAX) return undefined
  try {
    const word = DrillWord.safeParse(JSON.parse(fromUtf8(bytes)))
    return word.success ? word.data : undefined
  } catch {
    return undefined
  }
}

export const vectorText = (vector: VersionVector): string => toBase64Url(encode((writer) => writeClock(writer, vector)))

export function parseVectorText(text: string): VersionVector | undefined {
  const bytes = fromBase64Url(text)
  const vector = bytes.ok ? decode(bytes.value, (reader) => readClock(reader, VECTOR_ENTRIES_MAX)) : bytes
  return vector.ok ? vector.value : undefined
}
