import { FRAME_BYTES_MAX } from '@sealmesh/protocol/limits'
import { acceptMessage } from '@sealmesh/protocol/wire/challenge'
import type { FrameOf } from '@sealmesh/protocol/wire/frame'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import { greetingBegan, greetingEnded, mayGreet } from './addresses.ts'
import { judgeLogin } from './admission.ts'
import type { ClaimKey, Effect, Operation, RelayEvent } from './event.ts'
import { ADDRESS_WINDOW_MS, DISK_RETRY_MS } from './limits.ts'
import { newMailbox, pump, spill } from './mailbox.ts'
import type { Connection, Mailbox, Pending, RelayState, World } from './state.ts'

/** The life of a connection: greeting, admission, active or idle, goodbye. */

/** Half-open connections of a node that moved between networks, or a few copies of a home. */
const IDLE_MAX = 4
const IDLE_RETRY_MS = 60_000

export function greet(
  state: RelayState,
  event: Extract<RelayEvent, { type: 'connected' }>,
  world: World,
  effects: Effect[],
): void {
  const connection: Connection = {
    id: event.connection,
    address: event.address,
    nonce: event.nonce,
    openedMs: world.nowMs,
    heardMs: world.nowMs,
    state: 'greeting',
    mailbox: null,
    idleSinceMs: null,
    sent: 0,
    unackedBytes: 0,
    progressMs: world.nowMs,
    reading: null,
    drainedTold: false,
    lostTold: 0,
    unansweredBytes: 0,
    paused: false,
  }
  const welcome = mayGreet(state, event.address, world)
  state.connections.set(connection.id, connection)
  greetingBegan(state, event.address)
  if (state.stopping) return bye(state, connection, 'RELAY_RESTARTING', 1_000, effects)
  if (!welcome) return bye(state, connection, 'TOO_MANY_LOGINS', ADDRESS_WINDOW_MS, effects)
  const { relay, generation } = state
  effects.push({
    type: 'send',
    connection: connection.id,
    frame: { type: 'challenge', relay, nonce: event.nonce, generation },
  })
}

export function login(
  state: RelayState,
  connection: Connection,
  frame: FrameOf<'login'>,
  claims: readonly ClaimKey[],
  world: World,
  effects: Effect[],
): void {
  const judged = judgeLogin(state, connection, frame, claims, world)
  if (!judged.ok) return bye(state, connection, judged.error, 0, effects)
  const { mailbox: id, record, claim } = judged.value
  let mesh = state.meshes.get(record.mesh)
  if (mesh === undefined) {
    mesh = { revokedLogins: new Set(), revokedAdmins: new Set(), logins: 0 }
    state.meshes.set(record.mesh, mesh)
    effects.push({ type: 'note', note: { event: 'meshAdmitted', mesh: record.mesh } })
  }
  let mailbox = state.mailboxes.get(id)
  if (mailbox === undefined) {
    mailbox = newMailbox(id, record)
    state.mailboxes.set(id, mailbox)
    mesh.logins += 1
  }
  mailbox.login = record
  // Written each time, so that one failed write leaves nothing that is known in memory only.
  const operations: Operation[] = [
    { type: 'mesh', mesh: record.mesh },
    { type: 'login', mailbox: id, record },
  ]
  if (claim !== null) {
    state.spentClaims.add(claim)
    operations.push({ type: 'claimSpent', claim })
  }
  state.counter += 1
  operations.push({ type: 'counter', counter: state.counter })
  connection.state = 'admitting'
  connection.mailbox = mailbox
  const receipt = state.nextReceipt++
  // A copy: the frame's memory belongs to the socket.
  const nodeNonce = Uint8Array.from(frame.nonce)
  state.pending.set(receipt, { type: 'login', connection, mailbox, nodeNonce, counter: state.counter, claim })
  effects.push({ type: 'persist', operations, receipt })
}

/** The session's counter is durable: the node may see it. */
export function welcome(
  state: RelayState,
  pending: Extract<Pending, { type: 'login' }>,
  world: World,
  effects: Effect[],
): void {
  const { connection, mailbox, nodeNonce, counter, claim } = pending
  if (claim !== null) effects.push({ type: 'claimSpent', claim })
  if (connection.state !== 'admitting') return
  greetingEnded(state, connection.address, false)
  const { relay, generation } = state
  const { loginKey, mesh, kind } = mailbox.login
  const message = acceptMessage({ relay, nodeNonce, loginKey, generation, counter })
  const signature = world.sodium.sign(message, world.secretKey)
  const waiting = mailbox.entries.length
  const frame = {
    type: 'welcome',
    counter,
    frameBytesMax: FRAME_BYTES_MAX,
    waiting,
    lost: mailbox.lost,
    signature,
  } as const
  effects.push({ type: 'welcomed', connection: connection.id })
  effects.push({ type: 'send', connection: connection.id, frame })
  effects.push({ type: 'note', note: { event: 'login', mesh, mailbox: mailbox.id, kind } })
  const older = mailbox.reader
  if (older !== null) {
    // Closing it would make it dial again and close us: a war that nobody wins.
    older.state = 'idle'
    older.idleSinceMs = world.nowMs
    stopReading(older)
    mailbox.idle.push(older)
    const oldest = mailbox.idle.length > IDLE_MAX ? mailbox.idle[0] : undefined
    if (oldest !== undefined) bye(state, oldest, 'DUPLICATE_LOGIN', IDLE_RETRY_MS, effects)
    effects.push({
      type: 'send',
      connection: older.id,
      frame: { type: 'notice', reason: 'DUPLICATE_LOGIN', retryAfterMs: 0 },
    })
    effects.push({ type: 'note', note: { event: 'duplicate', mailbox: mailbox.id } })
  }
  connection.lostTold = mailbox.lost
  activate(state, mailbox, connection, world, effects)
}

/** The socket is gone. */
export function depart(state: RelayState, connection: Connection, world: World, effects: Effect[]): void {
  const { mailbox } = connection
  if (connection.state === 'greeting' || connection.state === 'admitting')
    greetingEnded(state, connection.address, connection.state === 'greeting')
  state.connections.delete(connection.id)
  connection.state = 'leaving'
  if (mailbox === null) return
  leaveIdle(connection)
  if (mailbox.reader !== connection) return
  mailbox.reader = null
  const next = mailbox.idle.pop()
  if (next === undefined) return spill(mailbox, state, effects)
  // The process that was idled is the only one left: it goes on.
  effects.push({ type: 'send', connection: next.id, frame: { type: 'notice', reason: null, retryAfterMs: 0 } })
  activate(state, mailbox, next, world, effects)
}

export function bye(
  state: RelayState,
  connection: Connection,
  reason: Reason,
  retryAfterMs: number,
  effects: Effect[],
  atOnce = false,
): void {
  if (connection.state === 'leaving') return
  if (connection.state === 'greeting' || connection.state === 'admitting')
    greetingEnded(state, connection.address, isTheirFault(reason))
  connection.state = 'leaving'
  leaveIdle(connection)
  effects.push({ type: 'send', connection: connection.id, frame: { type: 'goodbye', reason, retryAfterMs } })
  effects.push({ type: 'close', connection: connection.id, atOnce })
  effects.push({ type: 'note', note: { event: 'goodbye', reason } })
}

/** A login whose counter could not be written. */
export function turnAway(
  state: RelayState,
  pending: Extract<Pending, { type: 'login' }>,
  reason: Reason,
  effects: Effect[],
): void {
  bye(state, pending.connection, reason, DISK_RETRY_MS, effects)
}

function activate(state: RelayState, mailbox: Mailbox, connection: Connection, world: World, effects: Effect[]): void {
  connection.state = 'active'
  // Whatever an earlier reader had in hand and did not acknowledge comes again.
  connection.sent = (mailbox.entries.first?.sequence ?? mailbox.next) - 1
  connection.progressMs = world.nowMs
  mailbox.reader = connection
  pump(mailbox, state, world, effects)
}

function leaveIdle(connection: Connection): void {
  const at = connection.mailbox?.idle.indexOf(connection) ?? -1
  if (at >= 0) connection.mailbox?.idle.splice(at, 1)
}

function stopReading(connection: Connection): void {
  connection.unackedBytes = 0
  connection.reading = null
  connection.lostTold = 0
}

function isTheirFault(reason: Reason): boolean {
  return (
    reason !== 'RELAY_RESTARTING' && reason !== 'DISK_FULL' && reason !== 'DISK_FAILED' && reason !== 'VERSION_MISMATCH'
  )
}
