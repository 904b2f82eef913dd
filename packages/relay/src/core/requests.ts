import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import type { MailboxId, MeshId } from '@sealmesh/protocol/ids'
import type { FrameOf } from '@sealmesh/protocol/wire/frame'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import { decodeRevocation, verifyRevocation } from '@sealmesh/protocol/wire/revocation'
import { keyText } from '@sealmesh/protocol/wire/token'
import { judgeEnrolment } from './admission.ts'
import type { Effect, Operation } from './event.ts'
import { newMailbox } from './mailbox.ts'
import { bye } from './session.ts'
import type { Connection, Mailbox, RelayState, World } from './state.ts'

/** What a mesh tells its relay about its own logins. Both are answered when they are durable. */

export function enrol(
  state: RelayState,
  connection: Connection,
  frame: FrameOf<'enrol'>,
  world: World,
  effects: Effect[],
): void {
  const login = connection.mailbox?.login
  if (login?.kind !== 'node') return refuse(connection, frame.request, 'NOT_ADMIN', effects)
  const judged = judgeEnrolment(state, login.mesh, frame.chain, world)
  if (!judged.ok) return refuse(connection, frame.request, judged.error, effects)
  const { mailbox: id, record } = judged.value
  const held = state.mailboxes.get(id)
  if (held === undefined) {
    state.mailboxes.set(id, newMailbox(id, record))
    const mesh = state.meshes.get(login.mesh)
    if (mesh !== undefined) mesh.logins += 1
  } else held.login = record
  effects.push({ type: 'note', note: { event: 'enrolled', mesh: login.mesh, mailbox: id, kind: record.kind } })
  persist(state, connection, frame.request, [{ type: 'login', mailbox: id, record }], effects)
}

export function revoke(
  state: RelayState,
  connection: Connection,
  frame: FrameOf<'revoke'>,
  world: World,
  effects: Effect[],
): void {
  const login = connection.mailbox?.login
  const decoded = decodeRevocation(frame.revocation)
  if (!decoded.ok || decoded.value.mesh !== login?.mesh)
    return refuse(connection, frame.request, 'TOKEN_INVALID', effects)
  const revocation = decoded.value
  if (!verifyRevocation(revocation, world.nowMs, world.sodium))
    return refuse(connection, frame.request, 'NOT_ADMIN', effects)
  const mesh = state.meshes.get(revocation.mesh)
  if (mesh === undefined) return refuse(connection, frame.request, 'MESH_NOT_ADMITTED', effects)
  if (mesh.revokedLogins.size + mesh.revokedAdmins.size >= state.limits.meshRevocationsMax)
    return refuse(connection, frame.request, 'QUOTA_NODES', effects)
  const loginKey = keyText(revocation.loginKey)
  mesh.revokedLogins.add(loginKey)
  const operations: Operation[] = [{ type: 'revoked', mesh: revocation.mesh, role: 'login', key: loginKey }]
  // A removed admin's guests go with it; the nodes that it let in are judged by the membership log.
  if (revocation.adminKey !== null) {
    const adminKey = keyText(revocation.adminKey)
    mesh.revokedAdmins.add(adminKey)
    operations.push({ type: 'revoked', mesh: revocation.mesh, role: 'admin', key: adminKey })
    for (const mailbox of invitesOf(state, revocation.mesh, adminKey))
      operations.push(...remove(state, mailbox, effects))
  }
  const id = mailboxOf(revocation.loginKey, world.sodium)
  const mailbox = state.mailboxes.get(id)
  if (mailbox !== undefined) operations.push(...remove(state, mailbox, effects))
  effects.push({ type: 'note', note: { event: 'revoked', mesh: revocation.mesh, mailbox: id } })
  // It may revoke itself: then nobody is left to be answered, which `persist` and its answer allow.
  persist(state, connection, frame.request, operations, effects)
}

/** Takes a login and all that waits for it out of memory; the operations do the same on disk. */
export function remove(state: RelayState, mailbox: Mailbox, effects: Effect[]): Operation[] {
  const operations: Operation[] = [{ type: 'dropLogin', mailbox: mailbox.id }]
  for (const entry of mailbox.entries)
    if (entry.durable) operations.push({ type: 'dropPacket', mailbox: mailbox.id, sequence: entry.sequence })
  mailbox.entries.keep(() => false)
  state.mailboxes.delete(mailbox.id)
  const mesh = state.meshes.get(mailbox.login.mesh)
  if (mesh !== undefined) mesh.logins -= 1
  for (const connection of connectionsOf(state, mailbox.id)) bye(state, connection, 'NODE_REVOKED', 0, effects)
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

function* invitesOf(state: RelayState, mesh: MeshId, adminKey: string): Generator<Mailbox> {
  for (const mailbox of [...state.mailboxes.values()]) {
    const { login } = mailbox
    if (login.mesh === mesh && login.kind === 'invite' && login.through.at(-1) === adminKey) yield mailbox
  }
}

function* connectionsOf(state: RelayState, mailbox: MailboxId): Generator<Connection> {
  for (const connection of [...state.connections.values()]) if (connection.mailbox?.id === mailbox) yield connection
}
