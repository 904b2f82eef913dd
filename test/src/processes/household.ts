import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { NodeProcess } from './node.ts'
import { pairNodes } from './pair.ts'
import { RelayProcess } from './relay.ts'

/** A relay and two nodes that were paired by a real link; nothing is shared yet. */
export interface Household {
  readonly directory: string
  readonly relay: RelayProcess
  readonly home: NodeProcess
  readonly office: NodeProcess
}

export async function startHousehold(name: string, env?: Readonly<Record<string, string>>): Promise<Household> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), `sealmesh-${name}-`))
  const given = env === undefined ? {} : { env }
  const relay = await RelayProcess.start({ data: path.join(directory, 'relay'), ...given })
  const claim = relay.claim === undefined ? {} : { claim: relay.claim }
  const at = { home: path.join(directory, 'home'), name: 'home', ...given }
  const home = await NodeProcess.start({ ...at, relay: relay.address, ...claim })
  const office = await pairNodes(home, { home: path.join(directory, 'office'), name: 'office', ...given })
  return { directory, relay, home, office }
}

/** Given what runs now: a test may have started some of it anew. */
export async function endHousehold({ directory, relay, home, office }: Household): Promise<void> {
  await office.stop()
  await home.stop()
  await relay.stop()
  fs.rmSync(directory, { recursive: true, force: true })
}
