import { MsHistogram } from './ms-histogram.ts'
import type { SocketEnd } from './socket/gate.ts'

/** What a running relay counts. Plain numbers: they change for every packet, and are read when somebody asks. */
export class Tally {
  delivered = 0
  stored = 0
  readonly refused = new Map<string, number>()
  packetBytesIn = 0
  packetsOut = 0
  packetBytesOut = 0
  logins = 0
  readonly goodbyes = new Map<string, number>()
  /** Of these, to connections that had not logged in. */
  readonly turnedAway = new Map<string, number>()
  /** TCP connections, whatever became of them. */
  sockets = 0
  /** Sockets that the relay ended before they were a WebSocket. */
  readonly socketsEnded = new Map<SocketEnd, number>()
  readonly dropped = new Map<string, number>()
  spilled = 0
  duplicates = 0
  /** From a packet's arrival to its answer: handed over, durable or refused. */
  readonly queueMs = new MsHistogram()

  static count<Key extends string>(counts: Map<Key, number>, key: Key, by = 1): void {
    counts.set(key, (counts.get(key) ?? 0) + by)
  }
}
