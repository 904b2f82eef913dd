import type { WorldOptions } from './world.ts'

/** In what `tsc -b` has built: the end of a file's path, and what stands there exactly once. */
export interface Patch {
  readonly file: string
  readonly from: string
  readonly to: string
}

/** One rule taken away. */
export interface Mutant {
  readonly name: string
  readonly rule: string
  /** Seeds of which one at least shows it; undefined for one that none has shown yet (docs/sim-survivors.md). */
  readonly seeds?: readonly number[]
  readonly patches?: readonly Patch[]
  /** Of the world around the code: a disk, the dice, what happens there often. */
  readonly world?: WorldOptions
}
