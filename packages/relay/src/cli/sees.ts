import { askRelay } from '../control/client.ts'
import type { MeshSeen } from '../control/sees.ts'
import { type CommonFlags, dataOf } from './flags.ts'
import { Output, size } from './output.ts'

/** In words and numbers, all that this relay can tell of whom it serves. */
export async function sees(flags: CommonFlags): Promise<void> {
  const output = new Output(flags.json === true)
  const answer = await askRelay(dataOf(flags), '/sees')
  const lines = answer.meshes.flatMap((mesh) => [...linesOf(mesh, output), ''])
  output.result(
    answer,
    ...lines,
    'It cannot see names, agents, documents, what is in a packet, or which mailbox is whose.',
    'Of packets it remembers sums only, since it was started.',
  )
}

function linesOf(seen: MeshSeen, output: Output): string[] {
  const busiest = seen.byHour.map((packets, hour) => ({ packets, hour })).toSorted((a, b) => b.packets - a.packets)
  const hours = busiest.filter(({ packets }) => packets > 0).slice(0, 3)
  const clock = (hour: number): string => `${String(hour).padStart(2, '0')}:00`
  return [
    output.bold(`mesh ${seen.mesh}`),
    `  logins:    nodes ${seen.nodes}, invites ${seen.invites}, connected ${seen.connected}, addresses ${seen.addresses}`,
    `  packets:   ${seen.packetsLastDay} in the last 24 hours, ${seen.packetsPerDay} a day over a week`,
    `  sizes:     ${
      seen.bySize
        .filter(({ packets }) => packets > 0)
        .map(({ bytesMax, packets }) => `${packets} up to ${size(bytesMax)}`)
        .join(', ') || 'none'
    }`,
    `  times:     ${hours.length === 0 ? 'none' : `most around ${hours.map(({ hour }) => clock(hour)).join(', ')} UTC`}`,
    `  waiting:   ${seen.storedPackets} packets (${size(seen.storedBytes)}) in ${seen.mailboxes} mailboxes`,
    `  kept:      ${seen.snapshots} sealed snapshots (${size(seen.snapshotBytes)}), ${seen.slots} slots`,
  ]
}
