import type { BenchOptions, Measured } from '../result.ts'

export interface PartOptions extends BenchOptions {
  /** Scratch space of the whole bench. */
  readonly directory: string
}

/** One heading of the list. */
export type Part = (options: PartOptions) => Promise<Measured>
