import { FRAME_BYTES_MAX } from '@sealmesh/protocol/limits'
import { acceptMessage } from '@sealmesh/protocol/wire/challenge'
import type { FrameOf } from '@sealmesh/protocol/wire/frame'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import { greetingBegan, greetingEnded, mayGreet } from './addresses.ts'
import { judgeLogin } from './admission.ts'
import type { ClaimKey, Effect, Operation, RelayEvent } from './event.ts'
import { ADDRESS_WINDOW_MS, DISK_RETRY_MS } from './limits.ts'
import { Fifo } from './fifo.ts'
import type { KeyName } from './key-name.ts'
import { leaveAll, putBack, takeUp } from './mailboxes.ts'
import {
  type Connection,
  type Login,
  loginOf,
  type LoginRecord,
  type MeshState,
  newMesh,
  type Pending,
  type RelayState,
  type World,
} from './state.ts'

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
    login: null,
    loginKey: null,
    wanted: [],
    open: [],
    idleSinceMs: null,
    handed: 0,
    inHand: new Fifo(),
    unackedBytes: 0,
    isCaughtUp: false,
    pongOwed: 0,
    progressMs: world.nowMs,
    reading: null,
    drainedTold: false,
    lostTold: 0,
    slotQuestions: 0,
    vaultReads: 0,
    unansweredBytes: 0,
    isFull: false,
    isSlowed: false,
    slowedToldMs: Number.NEGATIVE_INFINITY,
  }
  const welcome = mayGreet(state, event.address, world)
  state.connections.set(connection.id, connection)
  greetingBegan(state, event.address)
  if (state.stopping) return bye(state, connection, 'RELAY_RESTARTING', 1_000, effects)
  if (!welcome) return bye(state, connection, 'TOO_MANY_LOGINS', ADDRESS_WINDOW_MS, effects)
  if (event.isGreeted === true) return
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
  const { name, record, claim } = judged.value
  let mesh = state.meshes.get(record.mesh)
  if (mesh === undefined || mesh.barred) {
    mesh ??= newMesh(record.mesh)
    mesh.barred = false
    state.meshes.set(record.mesh, mesh)
    effects.push({ type: 'note', note: { event: 'meshAdmitted', mesh: record.mesh } })
  }
  if (mesh.connections >= state.limits.meshConnectionsMax)
    return bye(state, connection, 'TOO_MANY_LOGINS', ADDRESS_WINDOW_MS, effects)
  mesh.connections += 1
  const who = state.logins.get(name) ?? newLogin(state, mesh, name, record)
  const isKept = who.isKept && isSame(who.record, record)
  who.record = record
  who.isKept = isKept
  // Until it is known to be durable, so that one failed write leaves nothing that is known in memory only.
  const operations: Operation[] = []
  if (!isKept || claim !== null) operations.push({ type: 'mesh', mesh: record.mesh, barred: false })
  if (!isKept) operations.push({ type: 'login', login: name, record })
  if (claim !== null) {
    state.spentClaims.add(claim)
    operations.push({ type: 'claimSpent', claim })
  }
  state.counter += 1
  operations.push({ type: 'counter', mesh: record.mesh, counter: state.counter })
  connection.state = 'admitting'
  connection.login = who
  // Copies: the frame's memory belongs to the socket.
  connection.loginKey = Uint8Array.from(frame.loginKey) as typeof frame.loginKey
  const receipt = state.nextReceipt++
  const nodeNonce = Uint8Array.from(frame.nonce)
  state.pending.set(receipt, { type: 'login', connection, login: who, nodeNonce, counter: state.counter, claim })
  effects.push({ type: 'persist', operations, receipt })
}

/** The session's counter is durable: the node may see it. */
export function welcome(
  state: RelayState,
  pending: Extract<Pending, { type: 'login' }>,
  world: World,
  effects: Effect[],
): void {
  const { connection, login, nodeNonce, counter, claim } = pending
  const { loginKey } = connection
  login.isKept = true
  if (claim !== null) effects.push({ type: 'claimSpent', claim })
  if (connection.state !== 'admitting' || loginKey === null) return
  greetingEnded(state, connection.address, false)
  const { relay, generation } = state
  const message = acceptMessage({ relay, nodeNonce, loginKey, generation, counter })
  const signature = world.sodium.sign(message, world.secretKey)
  const frame = { type: 'welcome', counter, frameBytesMax: FRAME_BYTES_MAX, signature } as const
  effects.push({ type: 'welcomed', connection: connection.id })
  effects.push({ type: 'send', connection: connection.id, frame })
  effects.push({
    type: 'note',
    note: { event: 'login', mesh: login.mesh.id, login: login.name, kind: login.record.kind },
  })
  const older = login.reader
  if (older !== null) {
    // Closing it would make it dial again and close us: a war that nobody wins.
    older.state = 'idle'
    older.idleSinceMs = world.nowMs
    putBack(state, leaveAll(older), world, effects)
    login.idle.push(older)
    const oldest = login.idle.length > IDLE_MAX ? login.idle[0] : undefined
    if (oldest !== undefined) bye(state, oldest, 'DUPLICATE_LOGIN', IDLE_RETRY_MS, effects)
    effects.push({
      type: 'send',
      connection: older.id,
      frame: { type: 'notice', reason: 'DUPLICATE_LOGIN', retryAfterMs: 0 },
    })
    effects.push({ type: 'note', note: { event: 'duplicate', login: login.name } })
  }
  activate(state, login, connection, world, effects)
}

/** The socket is gone. */
export function depart(state: RelayState, connection: Connection, world: World, effects: Effect[]): void {
  const { login } = connection
  if (connection.state === 'greeting' || connection.state === 'admitting')
    greetingEnded(state, connection.address, connection.state === 'greeting')
  state.connections.delete(connection.id)
  state.slowed.delete(connection)
  connection.state = 'leaving'
  if (login === null) return
  login.mesh.connections -= 1
  leaveIdle(connection)
  if (login.reader !== connection) return
  login.reader = null
  const left = leaveAll(connection)
  const next = login.idle.pop()
  if (next !== undefined) {
    // The process that was idled is the only one left: it goes on.
    effects.push({ type: 'send', connection: next.id, frame: { type: 'notice', reason: null, retryAfterMs: 0 } })
    activate(state, login, next, world, effects)
  }
  putBack(state, left, world, effects)
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
  const stranger = connection.state === 'greeting' || connection.state === 'admitting'
  if (stranger) greetingEnded(state, connection.address, isTheirFault(reason))
  connection.state = 'leaving'
  leaveIdle(connection)
  effects.push({ type: 'send', connection: connection.id, frame: { type: 'goodbye', reason, retryAfterMs } })
  effects.push({ type: 'close', connection: connection.id, atOnce })
  effects.push({ type: 'note', note: { event: 'goodbye', reason, stranger } })
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

export function newLogin(state: RelayState, mesh: MeshState, name: KeyName, record: LoginRecord): Login {
  const login = loginOf(name, mesh, record, false)
  state.logins.set(name, login)
  mesh.logins += 1
  return login
}

function activate(state: RelayState, login: Login, connection: Connection, world: World, effects: Effect[]): void {
  connection.state = 'active'
  connection.progressMs = world.nowMs
  login.reader = connection
  takeUp(state, connection, world, effects)
}

function leaveIdle(connection: Connection): void {
  const idle = connection.login?.idle ?? []
  const at = idle.indexOf(connection)
  if (at >= 0) idle.splice(at, 1)
}

const isSame = (a: LoginRecord, b: LoginRecord): boolean =>
  a.mesh === b.mesh &&
  a.kind === b.kind &&
  a.onlyTo === b.onlyTo &&
  a.expiresMs === b.expiresMs &&
  a.admin === b.admin &&
  a.through.join() === b.through.join()

function isTheirFault(reason: Reason): boolean {
  return (
    reason !== 'RELAY_RESTARTING' && reason !== 'DISK_FULL' && reason !== 'DISK_FAILED' && reason !== 'VERSION_MISMATCH'
  )
}
