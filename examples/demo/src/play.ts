import type { Cable } from './cable.ts'
import type { Machine } from './machine.ts'
import type { Narrator } from './narrator.ts'
import type { Needles } from './needles.ts'
import type { Relay } from './relay.ts'
import type { Stage } from './stage.ts'

/** What every act plays with. */
export interface Play {
  readonly narrator: Narrator
  readonly stage: Stage
  readonly relay: Relay
  readonly cable: Cable
  readonly home: Machine
  readonly office: Machine
  readonly needles: Needles
  /** The folder of examples/memory. */
  readonly memory: string
}

/** The agent that both machines run. */
export const AGENT = 'claude'
/** Layers that the import fills, and `session`, which has one writer at a time. */
export const SHARED_LAYERS = ['semantic', 'episodic', 'procedural', 'ontology', 'session'] as const

/** A loaded machine of two cores needs a second or two; this only bounds how long a failure takes to show. */
export const SOON_MS = 20_000
