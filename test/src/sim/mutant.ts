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
  /** A seed whose world shows it; undefined for one that no seed has shown yet (docs/sim-survivors.md). */
  readonly seed?: number
  readonly patches?: readonly Patch[]
  /** Of the world around the code: a disk, the dice. */
  readonly world?: WorldOptions
}
