import { z } from 'zod'
import { Name } from '../ipc/shapes.ts'
import { MessageId } from './message.ts'
import { Capability, Moment, Outcome } from './task.ts'

/** Collaborative rounds: brainstorm, critique, vote, build. docs/spec/17-patterns.md §6. */

export const PARTICIPANTS_MAX = 32
/** So that all ideas and critiques, and the result, fit one register. */
const Text = z.string().min(1).max(256)

/** `invite`: asks for one contribution to one phase. */
export const RoundInvite = z.object({
  round: MessageId,
  phase: z.enum(['brainstorm', 'critique']),
  problem: z.string().max(2_048),
  /** What there is to criticise; empty while ideas are gathered. */
  ideas: z.array(z.object({ id: z.string().max(64), text: Text })).max(PARTICIPANTS_MAX),
  deadlineAtMs: Moment,
})
export type RoundInvite = z.infer<typeof RoundInvite>

/** `idea` and `critique`; `about` names the idea that a critique is of. */
export const Contribution = z.object({
  round: MessageId,
  text: Text,
  about: z.string().max(64).nullable(),
})
export type Contribution = z.infer<typeof Contribution>

const Said = z.object({ id: z.string().max(64), by: Name, text: Text, about: z.string().max(64).nullable() })

export const RoundPhase = z.enum(['brainstorm', 'critique', 'vote', 'build', 'done', 'undecided', 'cancelled'])
export type RoundPhase = z.infer<typeof RoundPhase>

/** `round.ID` in the caller's layer `tasks`: where it stands, so that it goes on after a crash. */
export const RoundRecord = z.object({
  version: z.literal(1),
  /** Its vote and its task have ids made from this one. */
  round: MessageId.max(56),
  problem: z.string().max(2_048),
  participants: z.array(Name).min(1).max(PARTICIPANTS_MAX),
  /** Who builds what was decided: whoever can do this, the idea's author first. */
  capability: Capability,
  phaseMs: z.number().int().min(1),
  phase: RoundPhase,
  /** When the gathering that runs now ends. */
  deadlineAtMs: Moment,
  /** One of each participant, the first that was recorded. */
  ideas: z.array(Said).max(PARTICIPANTS_MAX),
  critiques: z.array(Said).max(PARTICIPANTS_MAX),
  /** The idea that was chosen. */
  decision: z.string().max(64).nullable(),
  /** What building it came to. */
  result: Outcome.nullable(),
})
export type RoundRecord = z.infer<typeof RoundRecord>
