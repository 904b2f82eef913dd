import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import type { MailboxId } from '@sealmesh/protocol/ids'
import type { Reason } from '@sealmesh/protocol/wire/reason'
import type { Effect, Operation } from './event.ts'
import { Fifo } from './fifo.ts'
import { OPENS_WINDOW_MS } from './limits.ts'
import { dropAll, pump, spill, tellLost } from './mailbox.ts'
import { charge, countUnopened, mayBegin, uncountUnopened } from './share.ts'
import type { Connection, Login, Mailbox, MeshState, RelayState, World } from './state.ts'

/**
 * Which mailboxes there are. One begins with the first packet for it, or when a session opens it by what its id is a
 * hash of; it ends when it is empty and nobody reads it. Who opened it is nowhere but in memory, for as long as the
 * session lives.
 */

const newMailbox = (id: MailboxId, mesh: MeshState): Mailbox => ({
  id,
  mesh,
  by: null,
  entries: new Fifo(),
  next: 1,
  bytes: 0,
  packets: 0,
  lost: 0,
  lostMs: 0,
  expiresMs: Number.POSITIVE_INFINITY,
  reader: null,
  sent: 0,
  lostTold: 0,
})

/** Where a packet for this id goes. Its reader may be away, so that nobody can say whether it is anybody's. */
export function mailboxFor(state: RelayState, sender: Login, id: MailboxId): Mailbox | Reason {
  const { mesh } = sender
  const known = mesh.mailboxes.get(id)
  if (known !== undefined) return known
  if (!mayBegin(state, sender, mesh.unopened)) return 'QUOTA_MAILBOXES'
  const mailbox = mailboxIn(mesh, id)
  charge(mailbox, sender)
  return mailbox
}

/** Whether this login may name so many secrets now. */
export function mayOpen({ limits }: RelayState, login: Login, secrets: number, { nowMs }: World): boolean {
  if (nowMs - login.opensMs >= OPENS_WINDOW_MS) {
    login.opensMs = nowMs
    login.opens = 0
  }
  // Naming none costs something too.
  login.opens += secrets + 1
  return login.opens <= limits.loginOpensMax
}

/** What this session reads from now on, in this order: all that it names, and nothing else. */
export function open(
  state: RelayState,
  connection: Connection,
  secrets: readonly Uint8Array[],
  world: World,
  effects: Effect[],
): void {
  connection.wanted = [...new Set(secrets.map((secret) => mailboxOf(secret, world.sodium)))]
  if (connection.state === 'active') takeUp(state, connection, world, effects)
}

export function takeUp(state: RelayState, connection: Connection, world: World, effects: Effect[]): void {
  const { login } = connection
  if (login === null) return
  const kept = new Set(connection.wanted)
  // Before any that is wanted begins, and counts as unopened for a moment.
  for (const mailbox of connection.open)
    if (!kept.has(mailbox.id)) putBack(state, [leave(connection, mailbox)], world, effects)
  const wanted = connection.wanted.map((id) => mailboxIn(login.mesh, id))
  for (const mailbox of wanted) if (mailbox.reader !== connection) seize(state, mailbox, connection, world, effects)
  connection.open = wanted
  connection.isCaughtUp = false
  pump(connection, state, world, effects)
  tellLost(connection, effects)
}

/** The session ends, or another one of its login has its place. */
export function leaveAll(connection: Connection): Mailbox[] {
  const left = connection.open.map((mailbox) => leave(connection, mailbox))
  connection.open = []
  connection.inHand = new Fifo()
  connection.unackedBytes = 0
  connection.lostTold = 0
  return left
}

/** What a reader had in hand goes where the next one finds it, unless there is one already. */
export function putBack(state: RelayState, left: readonly Mailbox[], world: World, effects: Effect[]): void {
  // What is empty goes first, so that it takes nothing from the room of what is not.
  for (const mailbox of left) tidy(mailbox)
  for (const mailbox of left) {
    if (mailbox.reader !== null) continue
    spill(mailbox, state, world, effects)
    tidy(mailbox)
  }
}

/** A mailbox that nobody reads and that holds nothing is none. */
export function tidy(mailbox: Mailbox): void {
  if (mailbox.reader !== null || mailbox.entries.length > 0 || mailbox.lost > 0) return
  const { mesh } = mailbox
  if (mesh.mailboxes.get(mailbox.id) !== mailbox) return
  mesh.mailboxes.delete(mailbox.id)
  mesh.unopened -= 1
  charge(mailbox, null)
}

/** Of a login that was removed: what it reads now is all that is known to be its own. */
export function destroyOpen(connection: Connection): Operation[] {
  const operations: Operation[] = []
  for (const mailbox of leaveAll(connection)) {
    operations.push(...dropAll(mailbox))
    tidy(mailbox)
  }
  return operations
}

/** Of whoever asks rightly: the reader that opens it, or the disk that has something of it. */
export function mailboxIn(mesh: MeshState, id: MailboxId): Mailbox {
  const known = mesh.mailboxes.get(id)
  if (known !== undefined) return known
  const mailbox = newMailbox(id, mesh)
  mesh.mailboxes.set(id, mailbox)
  mesh.unopened += 1
  return mailbox
}

function seize(state: RelayState, mailbox: Mailbox, connection: Connection, world: World, effects: Effect[]): void {
  const { reader } = mailbox
  // Only who was given the secret can stand here; its owner, coming later, gets it back.
  if (reader !== null) {
    leave(reader, mailbox)
    reader.open = reader.open.filter((each) => each !== mailbox)
    // It may have waited for this one's packets, or for room that these took.
    pump(reader, state, world, effects)
    tellLost(reader, effects)
  }
  uncountUnopened(mailbox)
  mailbox.reader = connection
  // Whatever an earlier reader had in hand and did not acknowledge comes again.
  mailbox.sent = (mailbox.entries.first?.sequence ?? mailbox.next) - 1
}

function leave(connection: Connection, mailbox: Mailbox): Mailbox {
  mailbox.reader = null
  mailbox.sent = 0
  connection.lostTold = Math.max(0, connection.lostTold - mailbox.lostTold)
  mailbox.lostTold = 0
  countUnopened(mailbox)
  if (connection.reading?.mailbox === mailbox) connection.reading = null
  for (const entry of connection.inHand.keep((each) => each.mailbox !== mailbox)) connection.unackedBytes -= entry.bytes
  return mailbox
}
