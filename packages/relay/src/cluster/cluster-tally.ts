import type { AppendResult } from './log.ts'

/** What a relay of a cluster counts beside what every relay does. Plain numbers, read when somebody asks. */
export class ClusterTally {
  /** Meshes that it became home of. */
  takeovers = 0
  /** Meshes that it gave up by itself: it stops, or they were idle. */
  released = 0
  /** Meshes that it was home of until another one was, or until nobody knew what became of a write. */
  lost = 0
  /** Atomic batches, by what JetStream said. */
  readonly batches: Record<BatchResult, number> = { stored: 0, fenced: 0, full: 0, refused: 0, unknown: 0 }

  batch(result: AppendResult): void {
    this.batches[result.type === 'refused' && result.full ? 'full' : result.type] += 1
  }
}

type BatchResult = AppendResult['type'] | 'full'

/** For metrics. */
export interface ClusterFigures {
  readonly tally: ClusterTally
  /** NATS and its streams are there. */
  readonly isReady: boolean
  readonly homes: number
  /** Connections whose socket is here and whose home is elsewhere, and the other way around. */
  readonly carried: { readonly front: number; readonly home: number }
  /** What waits for JetStream. */
  readonly waitingBytes: number
}
