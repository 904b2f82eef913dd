import * as path from 'node:path'
import { natsVersion, type Server, startBare, startNats, startRelay } from './servers.ts'

/** The servers that one part compares, running side by side; those that are not asked rest. */
export interface Rivals {
  readonly ours: Server
  readonly bare: Server
  readonly all: readonly Server[]
}

export async function withRivals<T>(directory: string, use: (rivals: Rivals) => Promise<T>): Promise<T> {
  const all: Server[] = []
  try {
    const ours = await startRelay({ data: path.join(directory, 'relay') })
    all.push(ours)
    const bare = await startBare()
    all.push(bare)
    if (natsVersion() !== undefined) all.push(await startNats())
    return await use({ ours, bare, all })
  } finally {
    for (const server of all) await server.stop()
  }
}
