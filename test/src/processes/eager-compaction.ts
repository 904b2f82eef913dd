import { Compaction as Patient, type CompactionDeps } from '@sealmesh/node/documents/compaction'

/** In a process's own place of `Compaction`: no history stays, and the first look comes soon. */
export class Compaction extends Patient {
  constructor(deps: CompactionDeps) {
    super({ ...deps, historyMs: 0, historyBytes: 0, floorBytes: 0, firstAfterMs: 1_500 })
  }
}
