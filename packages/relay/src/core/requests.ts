import type { FrameOf } from '@sealmesh/protocol/wire/frame'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import { decodeRevocation, verifyRevocation } from '@sealmesh/protocol/wire/revocation'
import { judgeEnrolment } from './admission.ts'
import type { Effect, Operation } from './event.ts'
import { type KeyName, keyName } from './key-name.ts'
import { destroyOpen } from './mailboxes.ts'
import { bye, newLogin } from './session.ts'
import type { Connection, Login, MeshState, RelayState, World } from './state.ts'

/** What a mesh tells its relay about its own logins. Both are answered when they are durable. */

export function enrol(
  state: RelayState,
  connection: Connection,
  frame: FrameOf<'enrol'>,
  world: World,
  effects: Effect[],
): void {
  const by = connection.login
  if (by?.record.kind !== 'node') return refuse(connection, frame.request, 'NOT_ADMIN', effects)
  const { mesh } = by
  const judged = judgeEnrolment(state, mesh.id, frame.chain, world)
  if (!judged.ok) return refuse(connection, frame.request, judged.error, effects)
  const { name, record } = judged.value
  const held = state.logins.get(name)
  if (held === undefined) newLogin(state, mesh, name, record)
  else {
    held.record = record
    held.isKept = false
  }
  effects.push({ type: 'note', note: { event: 'enrolled', mesh: mesh.id, login: name, kind: record.kind } })
  persist(state, connection, frame.request, [{ type: 'login', login: name, record }], effects)
}

export function revoke(
  state: RelayState,
  connection: Connection,
  frame: FrameOf<'revoke'>,
  world: World,
  effects: Effect[],
): void {
  const decoded = decodeRevocation(frame.revocation)
  const mesh = connection.login?.mesh
  if (!decoded.ok || mesh === undefined || decoded.value.mesh !== mesh.id)
    return refuse(connection, frame.request, 'TOKEN_INVALID', effects)
  const revocation = decoded.value
  if (!verifyRevocation(revocation, world.nowMs, world.sodium))
    return refuse(connection, frame.request, 'NOT_ADMIN', effects)
  if (mesh.revokedLogins.size + mesh.revokedAdmins.size >= state.limits.meshRevocationsMax)
    return refuse(connection, frame.request, 'QUOTA_NODES', effects)
  const name = keyName(revocation.loginKey, world.sodium)
  mesh.revokedLogins.add(name)
  const operations: Operation[] = [{ type: 'revoked', mesh: mesh.id, role: 'login', key: name }]
  // A removed admin's guests go with it; the nodes that it let in are judged by the membership log.
  if (revocation.adminKey !== null) {
    const admin = keyName(revocation.adminKey, world.sodium)
    mesh.revokedAdmins.add(admin)
    operations.push({ type: 'revoked', mesh: mesh.id, role: 'admin', key: admin })
    for (const invite of invitesOf(state, mesh, admin)) operations.push(...remove(state, invite, effects))
  }
  const login = state.logins.get(name)
  if (login !== undefined) operations.push(...remove(state, login, effects))
  effects.push({ type: 'note', note: { event: 'revoked', mesh: mesh.id, login: name } })
  // It may revoke itself: then nobody is left to be answered, which `persist` and its answer allow.
  persist(state, connection, frame.request, operations, effects)
}

/** Takes a login and all that its session reads out of memory; the operations do the same on disk. */
export function remove(state: RelayState, login: Login, effects: Effect[]): Operation[] {
  const operations: Operation[] = [{ type: 'dropLogin', login: login.name }]
  if (login.reader !== null) operations.push(...destroyOpen(login.reader))
  state.logins.delete(login.name)
  login.mesh.logins -= 1
  for (const connection of connectionsOf(state, login)) bye(state, connection, 'NODE_REVOKED', 0, effects)
  return operations
}

export function settle(connection: Connection, request: number, reason: Reason | null, effects: Effect[]): void {
  if (connection.state === 'leaving') return
  effects.push({ type: 'send', connection: connection.id, frame: { type: 'done', request, reason } })
}

const refuse = settle

function persist(
  state: RelayState,
  connection: Connection,
  request: number,
  operations: readonly Operation[],
  effects: Effect[],
): void {
  const receipt = state.nextReceipt++
  state.pending.set(receipt, { type: 'request', connection, request })
  effects.push({ type: 'persist', operations, receipt })
}

function* invitesOf(state: RelayState, mesh: MeshState, admin: KeyName): Generator<Login> {
  for (const login of [...state.logins.values()]) {
    const { record } = login
    if (login.mesh === mesh && record.kind === 'invite' && record.through.at(-1) === admin) yield login
  }
}

function* connectionsOf(state: RelayState, login: Login): Generator<Connection> {
  for (const connection of [...state.connections.values()]) if (connection.login === login) yield connection
}
