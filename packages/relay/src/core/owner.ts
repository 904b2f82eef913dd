import type { MeshId } from '@sealmesh/protocol/ids'
import type { Effect, Target } from './event.ts'
import type { RelayLimits } from './limits.ts'
import { dropAll, lose, pump } from './mailbox.ts'
import { tidy } from './mailboxes.ts'
import { countAnswered, releaseSlowed } from './reading.ts'
import { bye } from './session.ts'
import { type Connection, type Mailbox, newMesh, type RelayState, type World } from './state.ts'

/** What the relay's owner changes while it runs. */

/** A node that was sent away stays away for so long, if it does as it is told. */
const EVICTED_RETRY_MS = 30_000

/** From now on. A mailbox that is over a new quota refuses what comes; nothing that is kept is dropped for it. */
export function setLimits(state: RelayState, limits: RelayLimits, world: World, effects: Effect[]): void {
  state.limits = limits
  for (const connection of state.connections.values()) {
    // A reader that waited for room may have some now, and a sender that was not read may be under its new cap.
    if (connection.state === 'active') pump(connection, state, world, effects)
    countAnswered(state, connection, 0, effects)
    releaseSlowed(state, connection, world, effects)
  }
}

/**
 * Ends the connections of a mesh or a login. With `mailboxes` also drops what is stored: for a mesh everything, for a
 * login what it reads at this moment, since nothing else is known to be its own. Each leaves a mark, so that its
 * reader asks its peers for what is missing.
 */
export function evict(state: RelayState, target: Target, mailboxes: boolean, world: World, effects: Effect[]): void {
  const connections = connectionsOf(state, target)
  if (mailboxes) for (const mailbox of [...mailboxesOf(state, target)]) empty(mailbox, world, effects)
  for (const connection of connections) bye(state, connection, 'RELAY_CLOSED', EVICTED_RETRY_MS, effects)
}

/** Without a claim: its owner has named it. */
export function admit(state: RelayState, id: MeshId, effects: Effect[]): void {
  const mesh = state.meshes.get(id) ?? newMesh(id)
  state.meshes.set(id, mesh)
  mesh.barred = false
  effects.push({ type: 'persist', operations: [{ type: 'mesh', mesh: id, barred: false }], receipt: null })
  effects.push({ type: 'note', note: { event: 'meshAdmitted', mesh: id } })
}

/** Nobody of it gets in any more. What is stored stays, and goes when it expires; removed keys stay removed. */
export function expel(state: RelayState, id: MeshId, effects: Effect[]): void {
  const mesh = state.meshes.get(id)
  if (mesh === undefined) return
  mesh.barred = true
  effects.push({ type: 'persist', operations: [{ type: 'mesh', mesh: id, barred: true }], receipt: null })
  effects.push({ type: 'note', note: { event: 'meshExpelled', mesh: id } })
  for (const connection of connectionsOf(state, { type: 'mesh', mesh: id }))
    bye(state, connection, 'MESH_NOT_ADMITTED', 0, effects)
}

export const connectionsOf = (state: RelayState, target: Target): Connection[] =>
  [...state.connections.values()].filter(
    ({ login, state: at }) =>
      login !== null &&
      at !== 'leaving' &&
      (target.type === 'mesh' ? login.mesh.id === target.mesh : login.name === target.login),
  )

export function mailboxesOf(state: RelayState, target: Target): Iterable<Mailbox> {
  if (target.type === 'mesh') return state.meshes.get(target.mesh)?.mailboxes.values() ?? []
  return state.logins.get(target.login)?.reader?.open ?? []
}

function empty(mailbox: Mailbox, world: World, effects: Effect[]): void {
  const gone = mailbox.entries.length
  const before = mailbox.lost
  if (gone === 0) return
  effects.push({ type: 'persist', operations: dropAll(mailbox), receipt: null })
  mailbox.lostTold = 0
  lose(mailbox, gone + before, 'EVICTED', world, effects)
  tidy(mailbox)
}
