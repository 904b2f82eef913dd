import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { RelayState } from './core/state.ts'
import type { Tally } from './tally.ts'

export interface Metrics {
  readonly registry: Registry
  /** One durable group: how many changes, and how long the write and its fsync took. */
  groupWritten(operations: number, ms: number): void
}

/** Sums over everybody: no id, address or mesh is a label. */
export function createMetrics(state: RelayState, tally: Tally): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]

  const counter = (name: string, help: string, value: () => number): void => {
    new Counter({
      name: `sealmesh_relay_${name}`,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(value())
      },
    })
  }
  const counters = (name: string, help: string, label: string, values: () => Iterable<[string, number]>): void => {
    new Counter({
      name: `sealmesh_relay_${name}`,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset()
        for (const [key, value] of values()) this.inc({ [label]: key }, value)
      },
    })
  }
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name: `sealmesh_relay_${name}`,
      help,
      registers,
      collect() {
        this.set(value())
      },
    })
  }

  counters('packets_total', 'Packets answered, for each of their recipients.', 'outcome', () => [
    ['delivered', tally.delivered],
    ['stored', tally.stored],
    ['refused', [...tally.refused.values()].reduce((sum, n) => sum + n, 0)],
  ])
  counters('refused_total', 'Packets refused, by reason.', 'reason', () => tally.refused)
  counters('dropped_total', 'Packets that left a mailbox unread, by reason.', 'reason', () => tally.dropped)
  counters('goodbyes_total', 'Connections ended by the relay, by reason.', 'reason', () => tally.goodbyes)
  counter('received_bytes_total', 'Bytes of packets received.', () => tally.packetBytesIn)
  counter('sent_packets_total', 'Packets sent to readers.', () => tally.packetsOut)
  counter('sent_bytes_total', 'Bytes of packets sent to readers.', () => tally.packetBytesOut)
  counter('logins_total', 'Sessions that began.', () => tally.logins)
  counter('duplicate_logins_total', 'Sessions that idled an older one of the same login.', () => tally.duplicates)
  counter('spilled_packets_total', 'Packets taken back from readers that left or stopped.', () => tally.spilled)
  gauge('connections', 'Open connections.', () => state.connections.size)
  gauge('known_logins', 'Logins and open invites that are known.', () => state.logins.size)
  gauge('mailboxes', 'Mailboxes that hold something.', () => totals(state).mailboxes)
  gauge('meshes', 'Meshes that are admitted.', () => state.meshes.size)
  gauge('stored_packets', 'Packets in mailboxes.', () => totals(state).packets)
  gauge('stored_bytes', 'Bytes of packets in mailboxes.', () => totals(state).bytes)
  gauge('vault_bytes', 'Bytes of sealed snapshots.', () => {
    let bytes = 0
    for (const { vaultBytes } of state.meshes.values()) bytes += vaultBytes
    return bytes
  })
  gauge('pending_writes', 'Answers that wait for the disk.', () => state.pending.size)
  gauge('disk_ok', 'Whether packets can be stored.', () => (state.diskTrouble === null ? 1 : 0))
  const groupMs = new Histogram({
    name: 'sealmesh_relay_fsync_ms',
    help: 'How long one durable group took.',
    buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1_000],
    registers,
  })
  const groupSize = new Histogram({
    name: 'sealmesh_relay_group_changes',
    help: 'Changes in one durable group.',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096],
    registers,
  })

  return {
    registry,
    groupWritten(operations, ms) {
      groupMs.observe(ms)
      groupSize.observe(operations)
    },
  }
}

export function totals(state: RelayState): { mailboxes: number; packets: number; bytes: number } {
  let [mailboxes, packets, bytes] = [0, 0, 0]
  for (const mesh of state.meshes.values()) {
    for (const { entries } of mesh.mailboxes.values()) if (entries.length > 0) mailboxes += 1
    packets += mesh.packets
    bytes += mesh.bytes
  }
  return { mailboxes, packets, bytes }
}
