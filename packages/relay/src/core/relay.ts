import type { RelayId } from '@sealmesh/protocol/ids'
import { forgetAddresses } from './addresses.ts'
import type { Effect, RelayEvent } from './event.ts'
import { meshCame, meshGone } from './homes.ts'
import { EXPIRY_SWEEP_MS, type RelayLimits } from './limits.ts'
import { abandon, acknowledge, expire, lose, settleEntry, takeRead } from './mailbox.ts'
import { mailboxNames } from './mailbox-names.ts'
import { mayOpen, open, tidy } from './mailboxes.ts'
import { admit, evict, expel, setLimits } from './owner.ts'
import { enrol, remove, revoke, settle } from './requests.ts'
import { notStored, route, stored } from './routing.ts'
import { countSent, releaseAllSlowed } from './reading.ts'
import { forgetRepeats } from './repeats.ts'
import { bye, depart, greet, login, turnAway, welcome } from './session.ts'
import { Slabs } from './slabs.ts'
import { askSlot, slotNotStored, slotStored } from './slots.ts'
import type { Connection, Login, Pending, RelayState, World } from './state.ts'
import { askVault, chunkNotStored, chunkRead, chunkStored, kept, notKept } from './vault.ts'

export const newRelay = (relay: RelayId, generation: Uint8Array, counter: number, limits: RelayLimits): RelayState => ({
  limits,
  relay,
  generation,
  counter,
  meshes: new Map(),
  logins: new Map(),
  connections: new Map(),
  nameAt: mailboxNames(),
  slabs: new Slabs(),
  pending: new Map(),
  nextReceipt: 1,
  slowed: new Set(),
  addresses: new Map(),
  spentClaims: new Set(),
  repeats: null,
  diskTrouble: null,
  stopping: false,
  sweptMs: 0,
})

/**
 * One event in, effects out, to be done in order. It changes `state` in place: it is one owner's state, a copy per
 * packet would cost more than the packet. Decides everything, touches nothing.
 */
export function stepRelay(state: RelayState, event: RelayEvent, world: World): Effect[] {
  const effects: Effect[] = []
  switch (event.type) {
    case 'connected':
      greet(state, event, world, effects)
      break
    case 'frame': {
      const connection = state.connections.get(event.connection)
      if (connection === undefined || connection.state === 'leaving') break
      connection.heardMs = world.nowMs
      take(state, connection, event, world, effects)
      break
    }
    case 'badFrame':
      withConnection(state, event.connection, (connection) => bye(state, connection, event.reason, 0, effects))
      break
    case 'overflow':
      withConnection(state, event.connection, (connection) => cut(state, connection, effects))
      break
    case 'closed':
      withConnection(state, event.connection, (connection) => depart(state, connection, world, effects))
      break
    case 'persisted':
      for (const receipt of event.receipts) settled(state, takePending(state, receipt), world, effects)
      break
    case 'persistFailed':
      for (const receipt of event.receipts) failed(state, takePending(state, receipt), event.reason, world, effects)
      break
    case 'read':
      withConnection(state, event.connection, (connection) => takeRead(connection, event, state, world, effects))
      break
    case 'chunkRead':
      withConnection(state, event.connection, (connection) =>
        chunkRead(connection, event.request, event.bytes, effects),
      )
      break
    case 'meshCame':
      meshCame(state, event, world, effects)
      break
    case 'meshGone':
      meshGone(state, event.mesh, effects)
      break
    case 'disk':
      state.diskTrouble = event.trouble
      break
    case 'tick':
      tick(state, world, effects)
      break
    case 'pace':
      releaseAllSlowed(state, world, effects)
      break
    case 'limits':
      setLimits(state, event.limits, world, effects)
      break
    case 'evict':
      evict(state, event.target, event.mailboxes, world, effects)
      break
    case 'admit':
      admit(state, event.mesh, effects)
      break
    case 'expel':
      expel(state, event.mesh, effects)
      break
    case 'stop':
      stop(state, effects)
      break
  }
  return effects
}

function take(
  state: RelayState,
  connection: Connection,
  { frame, claims, slab }: Extract<RelayEvent, { type: 'frame' }>,
  world: World,
  effects: Effect[],
): void {
  if (frame.type === 'login' && connection.state === 'greeting')
    return login(state, connection, frame, claims, world, effects)
  const { login: who } = connection
  if (who === null || connection.state === 'greeting' || connection.state === 'admitting')
    return bye(state, connection, 'FRAME_UNEXPECTED', 0, effects)
  switch (frame.type) {
    case 'send': {
      let bytes = 0
      for (const packet of frame.packets) {
        bytes += packet.length
        if (isHere(connection)) route(state, connection, who, packet, slab, world, effects)
      }
      return countSent(state, connection, who, bytes, frame.packets.length, world, effects)
    }
    case 'open':
      if (!mayOpen(state, who, frame.secrets.length, world))
        return bye(state, connection, 'FRAME_UNEXPECTED', 0, effects)
      return open(state, connection, frame.secrets, world, effects)
    case 'ack':
      // An idled connection may still acknowledge what it had in hand: harmless, and the next reader gets it again.
      if (connection.state === 'active') acknowledge(connection, frame.sequence, state, world, effects)
      return
    case 'enrol':
      return enrol(state, connection, frame, world, effects)
    case 'revoke':
      return revoke(state, connection, frame, world, effects)
    case 'readSlot':
    case 'setSlot':
      return askSlot(state, connection, frame, world, effects)
    case 'vaultNames':
    case 'vaultPut':
    case 'vaultKeep':
    case 'vaultList':
    case 'vaultGet':
      return askVault(state, connection, frame, world, effects)
    case 'ping':
      // It was told once, by a frame that anybody on the way could have made up or lost: the pong confirms it.
      if (connection.state === 'idle') {
        const frame = { type: 'notice', reason: 'DUPLICATE_LOGIN', retryAfterMs: 0 } as const
        effects.push({ type: 'send', connection: connection.id, frame })
      }
      if (frame.number > 0 && connection.state === 'active' && !connection.isCaughtUp)
        connection.pongOwed = frame.number
      else effects.push({ type: 'send', connection: connection.id, frame: { type: 'pong', number: frame.number } })
      tellOfCopy(who, connection, world, effects)
      return
    case 'login':
    case 'challenge':
    case 'welcome':
    case 'goodbye':
    case 'answer':
    case 'deliver':
    case 'notice':
    case 'lost':
    case 'drained':
    case 'done':
    case 'slot':
    case 'vaultLacks':
    case 'vaults':
    case 'vaultChunk':
    case 'pong':
      return bye(state, connection, 'FRAME_UNEXPECTED', 0, effects)
  }
}

function settled(state: RelayState, pending: Pending | undefined, world: World, effects: Effect[]): void {
  if (pending === undefined) return
  switch (pending.type) {
    case 'packet':
      return stored(state, pending, world, effects)
    case 'spill':
      for (const entry of pending.entries) settleEntry(entry, state)
      return
    case 'login':
      return welcome(state, pending, world, effects)
    case 'slot':
      return slotStored(state, pending, world, effects)
    case 'vaultChunk':
      return chunkStored(pending, state, effects)
    case 'vaultKeep':
      return kept(pending, effects)
    case 'request':
      return settle(pending.connection, pending.request, null, effects)
  }
}

function failed(
  state: RelayState,
  pending: Pending | undefined,
  reason: 'DISK_FULL' | 'DISK_FAILED',
  world: World,
  effects: Effect[],
): void {
  if (pending === undefined) return
  switch (pending.type) {
    case 'packet':
      return notStored(state, pending, reason, effects)
    case 'spill': {
      let gone = 0
      for (const entry of pending.entries) if (!abandon(entry)) gone += 1
      if (gone > 0) lose(pending.mailbox, gone, reason, world, effects)
      return tidy(pending.mailbox)
    }
    case 'login':
      return turnAway(state, pending, reason, effects)
    case 'slot':
      return slotNotStored(state, pending, reason, world, effects)
    case 'vaultChunk':
      return chunkNotStored(pending, reason, state, effects)
    case 'vaultKeep':
      return notKept(pending, reason, effects)
    case 'request':
      return settle(pending.connection, pending.request, reason, effects)
  }
}

function tick(state: RelayState, world: World, effects: Effect[]): void {
  const { loginWaitMs, silenceMs } = state.limits
  let timeouts = 0
  for (const connection of [...state.connections.values()]) {
    const waits = connection.state === 'greeting' || connection.state === 'admitting'
    if (waits && world.nowMs - connection.openedMs >= loginWaitMs) {
      if (timeouts++ < TIMEOUTS_PER_TICK) bye(state, connection, 'HELLO_TIMEOUT', 0, effects)
    } else if (!waits && world.nowMs - connection.heardMs >= silenceMs)
      bye(state, connection, 'RELAY_CLOSED', 0, effects, true)
    else if (isStalled(state, connection, world)) cut(state, connection, effects)
  }
  releaseAllSlowed(state, world, effects)
  if (world.nowMs - state.sweptMs < EXPIRY_SWEEP_MS) return
  state.sweptMs = world.nowMs
  if (state.repeats !== null) forgetRepeats(state.repeats, world)
  forgetAddresses(state, world)
  state.slabs.trim()
  for (const { mailboxes } of state.meshes.values()) {
    for (const mailbox of [...mailboxes.values()]) {
      expire(mailbox, world, effects)
      tidy(mailbox)
    }
  }
  for (const login of [...state.logins.values()]) {
    const { kind, expiresMs } = login.record
    if (kind === 'invite' && expiresMs !== 0 && expiresMs <= world.nowMs && login.reader === null)
      effects.push({ type: 'persist', operations: remove(state, login, effects), receipt: null })
  }
}

/** At its cap, and nothing acknowledged for a while: what it has in hand goes to its mailbox when it is gone. */
function isStalled(state: RelayState, connection: Connection, world: World): boolean {
  const { unackedBytesMax, stallMs } = state.limits
  if (connection.state !== 'active' || world.nowMs - connection.progressMs < stallMs) return false
  const { isCaughtUp, unackedBytes } = connection
  return !isCaughtUp && unackedBytes > 0 && unackedBytes >= unackedBytesMax / 2
}

const cut = (state: RelayState, connection: Connection, effects: Effect[]): void =>
  bye(state, connection, 'READER_STALLED', 0, effects, true)

/** Tells everybody when to come back, not all at once. */
function stop(state: RelayState, effects: Effect[]): void {
  state.stopping = true
  const connections = [...state.connections.values()]
  const stepMs = Math.max(RESTART_STEP_MS_MIN, Math.min(RESTART_STEP_MS, RESTART_SPREAD_MS / connections.length))
  for (const [index, connection] of connections.entries())
    bye(state, connection, 'RELAY_RESTARTING', Math.floor(RESTART_MS + index * stepMs), effects)
}

/** A thousand strangers who came at once must not all be sent away in one turn: the driver ticks sooner meanwhile. */
const TIMEOUTS_PER_TICK = 8

/** What a restart takes at least, and how far apart nodes come back: all within a few seconds, a few or thousands. */
const RESTART_MS = 500
const RESTART_STEP_MS = 10
const RESTART_SPREAD_MS = 6_000
/** More logins in a second than this a small machine does not do: who has to wait too long for its own comes again. */
const RESTART_STEP_MS_MIN = 1

/** What the last frames of a connection that was left behind may take to arrive. */
const LEFT_BEHIND_MS = 5_000

/** An idled connection that still pings is no remainder of the newer one: two processes use one node's keys. */
function tellOfCopy(login: Login, connection: Connection, world: World, effects: Effect[]): void {
  if (connection.state !== 'idle' || connection.idleSinceMs === null || login.reader === null) return
  if (world.nowMs - connection.idleSinceMs < LEFT_BEHIND_MS) return
  connection.idleSinceMs = null
  const frame = { type: 'notice', reason: 'HOME_COPIED', retryAfterMs: 0 } as const
  effects.push({ type: 'send', connection: login.reader.id, frame })
}

const isHere = (connection: Connection): boolean => connection.state === 'active' || connection.state === 'idle'

function withConnection(state: RelayState, id: number, act: (connection: Connection) => void): void {
  const connection = state.connections.get(id)
  if (connection !== undefined) act(connection)
}

function takePending(state: RelayState, receipt: number): Pending | undefined {
  const pending = state.pending.get(receipt)
  state.pending.delete(receipt)
  return pending
}
