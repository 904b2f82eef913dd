import type { Login, Mailbox, MeshState, RelayState } from './state.ts'

/**
 * How many mailboxes a mesh and a login may leave behind. One counts while it keeps something and nobody reads it, for
 * the login whose packet was the first of what it keeps. Whoever opens it and leaves it as it was changes nothing of
 * that: what was invented would count for nobody if its maker had only to open it.
 */

/** Whether something of it is on disk, or on its way there. */
export const isKept = (mailbox: Mailbox): boolean => mailbox.packets > 0 || mailbox.lost > 0

/** Whether there may be one more, of which this login's packet is the first, beside so many that nobody reads. */
export const mayBegin = ({ limits }: RelayState, by: Login, others: number): boolean =>
  others < limits.meshMailboxesMax && by.unopened < limits.loginMailboxesMax

export function charge(mailbox: Mailbox, to: Login | null): void {
  if (mailbox.reader === null) {
    if (mailbox.by !== null) mailbox.by.unopened -= 1
    if (to !== null) to.unopened += 1
  }
  mailbox.by = to
}

/** It has a reader from now on. */
export function uncountUnopened({ mesh, by }: Mailbox): void {
  add(mesh, by, -1)
}

/** Its reader has left. */
export function countUnopened({ mesh, by }: Mailbox): void {
  add(mesh, by, 1)
}

function add(mesh: MeshState, by: Login | null, mailboxes: number): void {
  mesh.unopened += mailboxes
  if (by !== null) by.unopened += mailboxes
}
