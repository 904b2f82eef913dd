import { askRelay } from '../control/client.ts'
import type { RelayStatus } from '../control/status.ts'
import { type CommonFlags, dataOf } from './flags.ts'
import { duration, Output, size, table } from './output.ts'

export async function status(flags: CommonFlags): Promise<void> {
  const output = new Output(flags.json === true)
  const answer = await askRelay(dataOf(flags), '/status')
  output.result(answer, ...linesOf(answer, output))
}

function linesOf(status: RelayStatus, output: Output): string[] {
  const { connections, meshes, near } = status
  const oldest = status.oldestPacketMs === null ? '' : `, the oldest for ${duration(status.oldestPacketMs)}`
  const free = status.diskFreeBytes === null ? 'not known' : `${size(status.diskFreeBytes)} free`
  return [
    `relay ${status.version}: ${output.bold(status.status)}, process ${status.pid}, up since ${new Date(status.startedMs).toISOString()}`,
    `address:     ${status.address}`,
    `connections: ${connections.total} (${connections.active} active, ${connections.idle} idle, ${connections.greeting + connections.admitting} not logged in)`,
    `mailboxes:   ${status.mailboxes}, holding ${status.storedPackets} packets (${size(status.storedBytes)})${oldest}`,
    `snapshots:   ${size(status.vaultBytes)}`,
    `disk:        ${free}`,
    ...counted('refused', status.refused),
    ...counted('dropped', status.dropped),
    ...counted('turned away', status.turnedAway),
    ...(meshes.length === 0
      ? ['', `no mesh yet: ${status.admission === 'claims' ? 'sealmesh-relay claim' : 'sealmesh-relay admit add MESH'}`]
      : ['', ...meshTable(meshes, output)]),
    ...(status.meshesLeftOut === 0 ? [] : [`and ${status.meshesLeftOut} more`]),
    ...(near.length === 0 ? [] : ['', output.bold('nearly full')]),
    ...near.map(({ limit, mesh, used, max }) => `  ${limit} of ${mesh}: ${used} of ${max}`),
  ]
}

export function meshTable(meshes: RelayStatus['meshes'], output: Output): string[] {
  const [head = '', ...rows] = table([
    ['MESH', 'NODES', 'HERE', 'MAILBOXES', 'PACKETS', 'BYTES', 'SNAPSHOTS', 'OLDEST', ''],
    ...meshes.map(({ mesh, logins, connected, mailboxes, packets, bytes, vaultBytes, oldestPacketMs, admitted }) => [
      mesh,
      logins,
      connected,
      mailboxes,
      packets,
      size(bytes),
      size(vaultBytes),
      oldestPacketMs === null ? '-' : duration(oldestPacketMs),
      admitted ? '' : 'not admitted any more',
    ]),
  ])
  return [output.dim(head), ...rows]
}

function counted(what: string, counts: Readonly<Record<string, number>>): string[] {
  const each = Object.entries(counts).map(([reason, count]) => `${count} ${reason}`)
  return each.length === 0 ? [] : [`${`${what}:`.padEnd(12)} ${each.join(', ')}`]
}
