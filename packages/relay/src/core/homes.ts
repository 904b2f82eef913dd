import type { MeshId } from '@sealmesh/protocol/ids'
import type { Effect, RelayEvent } from './event.ts'
import { expire } from './mailbox.ts'
import { tidy } from './mailboxes.ts'
import { remember } from './repeats.ts'
import { bye } from './session.ts'
import type { RelayState, World } from './state.ts'

/** What another relay takes to be home of it, and how far apart its nodes come back. */
const MOVE_MS = 500
const MOVE_STEP_MS = 5
const MOVE_MS_MAX = 5_000

/** Meshes that come to this relay and leave it while it runs: one of a cluster is home of some of them. */

export function meshCame(
  state: RelayState,
  { mesh, logins, counter, isAdmitted, repeats }: Extract<RelayEvent, { type: 'meshCame' }>,
  world: World,
  effects: Effect[],
): void {
  // What another relay counted, and for how long a slot had lain there: never less, and never more, than the truth.
  state.counter = Math.max(state.counter, counter)
  for (const slot of mesh.slots.values()) slot.sinceMs = world.steadyMs
  // One that was never admitted is only loaded so that its claim can be judged here.
  if (!isAdmitted) return
  state.meshes.set(mesh.id, mesh)
  for (const login of logins) state.logins.set(login.name, login)
  if (state.repeats !== null) for (const { name, at, storedMs } of repeats) remember(state.repeats, name, at, storedMs)
  // The relay that swept it last may be long dead.
  for (const mailbox of [...mesh.mailboxes.values()]) {
    expire(mailbox, world, effects)
    tidy(mailbox)
  }
}

/** Its nodes find it elsewhere. What they had in hand is not put back: it lies where its next home finds it. */
export function meshGone(state: RelayState, mesh: MeshId, effects: Effect[]): void {
  let retryAfterMs = MOVE_MS
  for (const connection of [...state.connections.values()]) {
    if (connection.login?.record.mesh !== mesh) continue
    bye(state, connection, 'RELAY_RESTARTING', retryAfterMs, effects)
    retryAfterMs = Math.min(retryAfterMs + MOVE_STEP_MS, MOVE_MS_MAX)
    connection.login = null
    connection.open = []
  }
  // Compared with what may be no longer so: nobody is left to be answered.
  for (const slot of state.meshes.get(mesh)?.slots.values() ?? []) slot.waiting.length = 0
  for (const login of [...state.logins.values()]) if (login.record.mesh === mesh) state.logins.delete(login.name)
  state.meshes.delete(mesh)
}
