import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import type { BenchOptions, Measured, Row } from '../result.ts'
import { durable } from './durable.ts'
import { forwarding, latency, SIZES } from './forwarding.ts'
import { idleMemory } from './idle-memory.ts'
import { restartStorm } from './restart-storm.ts'
import { withRivals } from './rivals.ts'
import { stalledReader } from './stalled-reader.ts'
import { natsVersion } from './servers.ts'

/**
 * The relay as its owner runs it, beside a bare forwarder of ws and NATS on the same machine, in one run. `--only`
 * names one part.
 */

type Part = (directory: string, options: BenchOptions) => Promise<Measured>

const PARTS: Readonly<Record<string, Part>> = {
  ...Object.fromEntries(
    SIZES.map((size): [string, Part] => [
      `forward-${size.name}`,
      (directory, options) => withRivals(directory, (rivals) => forwarding(size, rivals, options)),
    ]),
  ),
  latency: (directory, options) => withRivals(directory, (rivals) => latency(rivals, options)),
  idle: idleMemory,
  'stalled-reader': stalledReader,
  'restart-storm': restartStorm,
  durable,
}

export async function benchRelay(options: BenchOptions): Promise<Measured> {
  const rows: Row[] = []
  const notes: string[] = []
  const nats = natsVersion()
  notes.push(nats === undefined ? 'nats-server is not here (NATS_SERVER, PATH): its rows are empty.' : `NATS ${nats}`)
  for (const [name, part] of Object.entries(PARTS)) {
    if (options.only !== undefined && !name.startsWith(options.only)) continue
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealmesh-bench-'))
    try {
      const measured = await part(directory, options)
      rows.push(...measured.rows)
      notes.push(...measured.notes)
    } finally {
      if (process.env['SEALMESH_RELAY_PROFILE'] === undefined) fs.rmSync(directory, { recursive: true, force: true })
      else options.progress(`profiles: ${directory}`)
    }
  }
  if (rows.length === 0) throw new Error(`parts: ${Object.keys(PARTS).join(', ')}`)
  return { rows, notes }
}
