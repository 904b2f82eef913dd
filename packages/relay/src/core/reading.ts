import type { Effect } from './event.ts'
import type { RelayLimits } from './limits.ts'
import type { Connection, Login, RelayState, World } from './state.ts'

/**
 * When nothing more is read from a sender: while too much of it waits for the disk, and while its login has sent more
 * than its share, which it is told. Nothing of it is refused, and nobody else waits. The share is a leaking bucket for
 * each login, whatever connections it has: what it has sent runs off at the rate that it may keep up, and above the rim
 * nothing is read until there is room. What is kept for somebody who is away counts once more for each such mailbox: a
 * disk writes it twice or more, and while it does others wait.
 */

/** What may come at once after a rest: a node that was offline for a day has much to say. */
const BURST_MS = 2_000
/** A connection is told once in this time. */
const TELL_EVERY_MS = 60_000
const SECOND_MS = 1_000

export interface SendRate {
  bytes: number
  packets: number
  /** Steady time at which these were right. */
  atMs: number
}

export const newSendRate = (): SendRate => ({ bytes: 0, packets: 0, atMs: 0 })

/** One frame has been taken from this connection. */
export function countSent(
  state: RelayState,
  connection: Connection,
  { sendRate }: Login,
  bytes: number,
  packets: number,
  world: World,
  effects: Effect[],
): void {
  runOff(sendRate, state.limits, world)
  sendRate.bytes += bytes
  sendRate.packets += packets
  if (!isOver(sendRate, state.limits) || connection.isSlowed || connection.state === 'leaving') return
  connection.isSlowed = true
  state.slowed.add(connection)
  holdBack(connection, effects)
  if (world.steadyMs - connection.slowedToldMs < TELL_EVERY_MS) return
  connection.slowedToldMs = world.steadyMs
  const frame = { type: 'notice', reason: 'SLOWED', retryAfterMs: 0 } as const
  effects.push({ type: 'send', connection: connection.id, frame })
}

/** As often as it may be: all that has run off is read at once, and others wait for that. */
export function releaseAllSlowed(state: RelayState, world: World, effects: Effect[]): void {
  for (const connection of state.slowed) releaseSlowed(state, connection, world, effects)
}

export function releaseSlowed(state: RelayState, connection: Connection, world: World, effects: Effect[]): void {
  if (!connection.isSlowed || connection.login === null) return
  const { sendRate } = connection.login
  runOff(sendRate, state.limits, world)
  if (isOver(sendRate, state.limits)) return
  connection.isSlowed = false
  state.slowed.delete(connection)
  letGo(connection, effects)
}

/** Of what was sent, what has to be kept in a mailbox: it counts when the frame does. */
export function countKept({ sendRate }: Login, bytes: number): void {
  sendRate.bytes += bytes
}

/** So many bytes of it wait for the disk from now on. */
export function countUnanswered(state: RelayState, connection: Connection, bytes: number, effects: Effect[]): void {
  connection.unansweredBytes += bytes
  if (connection.isFull || connection.unansweredBytes <= state.limits.unansweredBytesMax) return
  connection.isFull = true
  holdBack(connection, effects)
}

export function countAnswered(state: RelayState, connection: Connection, bytes: number, effects: Effect[]): void {
  connection.unansweredBytes -= bytes
  if (connection.state === 'leaving' || !connection.isFull) return
  if (connection.unansweredBytes > state.limits.unansweredBytesMax / 2) return
  connection.isFull = false
  letGo(connection, effects)
}

/** Nothing more is read from it, for one reason or for two. */
function holdBack(connection: Connection, effects: Effect[]): void {
  if (connection.isSlowed !== connection.isFull) effects.push({ type: 'pause', connection: connection.id })
}

function letGo(connection: Connection, effects: Effect[]): void {
  if (!connection.isSlowed && !connection.isFull) effects.push({ type: 'resume', connection: connection.id })
}

function runOff(rate: SendRate, limits: RelayLimits, { steadyMs }: World): void {
  const seconds = (steadyMs - rate.atMs) / SECOND_MS
  rate.bytes = Math.max(0, rate.bytes - seconds * limits.loginSendBytesPerSecond)
  rate.packets = Math.max(0, rate.packets - seconds * limits.loginSendPacketsPerSecond)
  rate.atMs = steadyMs
}

const isOver = (rate: SendRate, limits: RelayLimits): boolean =>
  rate.bytes > (limits.loginSendBytesPerSecond * BURST_MS) / SECOND_MS ||
  rate.packets > (limits.loginSendPacketsPerSecond * BURST_MS) / SECOND_MS
