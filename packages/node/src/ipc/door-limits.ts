import { DOOR_LINE_BYTES_MAX } from '@sealmesh/protocol/limits'

/** What one local client can make the node hold. Programs of one user, so these stop accidents, not an enemy. */
export interface DoorLimits {
  readonly lineBytesMax: number
  /** Requests of one connection that are being worked on; past it the connection is not read. */
  readonly inFlightMax: number
  /** Bytes that wait for a client; past it the connection is not read. */
  readonly queueBytesPause: number
  /** Bytes that wait for a client; past it the client is cut: what it watches outruns it. */
  readonly queueBytesMax: number
  /** A client over `queueBytesPause` that takes nothing for this long is cut. */
  readonly stallMs: number
  readonly connectionsMax: number
  /** How long one turn of the loop may go on with calls of one client that has said many: others come in between. */
  readonly turnMs: number
  /**
   * Of a door where clients prove who they are: those that have not, or no more. Past it the one that has been so for
   * longest is ended, so that nobody without a token can keep out who has one.
   */
  readonly strangersMax: number
  /** How long `close` waits for requests that are being worked on and for clients to take their answers. */
  readonly drainMs: number
}

export const DOOR_LIMITS: DoorLimits = {
  lineBytesMax: DOOR_LINE_BYTES_MAX,
  inFlightMax: 256, // A group commit takes what waits during one fsync; more in flight gains nothing.
  queueBytesPause: 1_048_576,
  queueBytesMax: 16 * 1_048_576, // Holds a busy minute of watching and the largest listing.
  stallMs: 30_000,
  connectionsMax: 1_024, // Every agent of a large machine several times over.
  turnMs: 4,
  strangersMax: 1_024, // No bound of its own: whoever reaches the owner's door is the owner.
  drainMs: 5_000,
}
