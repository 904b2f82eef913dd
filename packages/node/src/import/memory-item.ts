/** One thing to write into an agent's memory. `id` is the third part of its UMR; `layer` the second. */
export type MemoryItem =
  | { readonly layer: string; readonly id: string; readonly type: 'register'; readonly value: unknown }
  | { readonly layer: string; readonly id: string; readonly type: 'text'; readonly text: string }

/** What was left out: where (a path, or `path:line`) and why, in words for a person. Never any content. */
export interface Skipped {
  readonly where: string
  readonly why: string
  /**
   * True for what was meant as memory and cannot be read, such as a damaged line: somebody should look at it. False
   * for what is left out on purpose: links, settings, diaries, repeats.
   */
  readonly invalid: boolean
}

export const leftOut = (where: string, why: string): Skipped => ({ where, why, invalid: false })
export const damaged = (where: string, why: string): Skipped => ({ where, why, invalid: true })

export interface Memory {
  readonly items: MemoryItem[]
  readonly skipped: Skipped[]
}
