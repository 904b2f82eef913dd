import type { Documents } from '../documents/documents.ts'
import type { LastHeard } from '../status/last-heard.ts'
import type { MeshSync } from '../sync/mesh-sync.ts'
import type { ServiceContext } from './context.ts'

const PREKEY_CHECK_MS = 60 * 60_000
/** Blocks from a clock that runs ahead are held until they are due, which nothing but time announces. */
const HELD_CHECK_MS = 15_000
/** What a crash may make `last heard` forget. */
const HEARD_NOTED_MS = 60_000

export interface UpkeepDeps extends Pick<ServiceContext, 'logger' | 'log' | 'node'> {
  readonly documents: Pick<Documents, 'rest' | 'meshChanged'>
  readonly sync: Pick<MeshSync, 'heard'>
  readonly lastHeard: LastHeard
  readonly rotate: () => Promise<void>
}

/** What a node does now and then, whatever happens. Gives what ends it. */
export function keepUp({ documents, sync, lastHeard, rotate, logger, log, node }: UpkeepDeps): () => Promise<void> {
  const noteHeard = (): Promise<void> =>
    lastHeard.note(sync.heard()).catch((error: unknown) => {
      logger.error({ err: error }, 'when peers were last heard was not written down')
    })
  const judge = (): void => {
    documents.rest()
    documents.meshChanged().catch((error: unknown) => logger.error({ err: error }, 'held blocks were not judged again'))
  }
  log.onChange((mesh) => {
    // Not awaited: the record that it appends comes back here.
    if (mesh.nodes.get(node)?.lapsed === true) void rotate()
  })
  const timers = [
    setInterval(() => void noteHeard(), HEARD_NOTED_MS),
    setInterval(() => void rotate(), PREKEY_CHECK_MS),
    setInterval(judge, HELD_CHECK_MS),
  ]
  for (const timer of timers) timer.unref()
  return async () => {
    for (const timer of timers) clearInterval(timer)
    await noteHeard()
  }
}
