import type { Draft } from '../../agent-port.ts'

/**
 * What every pattern's core gives back. Effects run in order, and an event counts only when its records are durable:
 * whoever is told something can read it afterwards, whatever crashes in between.
 */
export interface Step<State, Own = never> {
  readonly next: State
  readonly effects: readonly (Effect | Own)[]
}

export interface World {
  readonly nowMs: number
}

export type Effect =
  /** Durable before any effect behind it, and before any other event. */
  | { readonly type: 'record'; readonly key: string; readonly value: unknown }
  /** May get lost like any message: a core that needs it to arrive sends it again. */
  | { readonly type: 'send'; readonly draft: Draft }
  | Note

/** For the trace. `id`: what it is about, where one core looks after several. */
export interface Note {
  readonly type: 'note'
  readonly event: string
  readonly id?: string
  readonly agent?: string
  readonly detail?: string
}
