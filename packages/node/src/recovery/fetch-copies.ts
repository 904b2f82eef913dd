import { setTimeout as wait } from 'node:timers/promises'
import { mailboxOf } from '@sealmesh/protocol/envelope/mailbox'
import { Failure, type FailureCode } from '@sealmesh/protocol/errors'
import { openLogCopy } from '@sealmesh/protocol/recovery/log-copy'
import type { LinkEvent } from '../uplink/link-event.ts'
import { openRecoveryLink, type RecoveryLinkOptions } from './recovery-link.ts'

const RELAY_WAIT_MS = 20_000
/** Between one packet and the next of what waits there. */
const QUIET_MS = 15_000
const LOOK_MS = 25
/**
 * Of the 4 MiB that a relay hands out before it wants to be told. What is not acknowledged stays there for another
 * try on another machine; of more than this only the newest does.
 */
const UNACKNOWLEDGED_BYTES_MAX = 2 * 1_048_576

/** The records in the recovery mailbox at one relay, in the order in which they came there. Rejects with a `Failure`. */
export async function fetchCopies(options: RecoveryLinkOptions): Promise<Uint8Array[]> {
  const { sodium } = options
  const records: Uint8Array[] = []
  let bytes = 0
  let heardAtMs = performance.now()
  let state: 'waiting' | 'reading' | 'read' = 'waiting'
  let reason: FailureCode | null = null
  const onEvent = (event: LinkEvent): void => {
    heardAtMs = performance.now()
    if (event.type === 'live') state = 'reading'
    if (event.type === 'drained') state = 'read'
    if (event.type === 'down') reason = event.reason
    if (event.type !== 'deliver') return
    records.push(...(openLogCopy(event.packet, { mailboxes, keys: [keys.seal] }, sodium) ?? []))
    bytes += event.packet.length
    if (bytes > UNACKNOWLEDGED_BYTES_MAX) event.acknowledge()
  }
  const { link, keys } = openRecoveryLink(options, onEvent)
  const mailboxes = new Set([mailboxOf(keys.mailboxSecret, sodium)])
  try {
    const isRead = (): boolean => state === 'read'
    while (!isRead()) {
      const { state: linked, reason: refused } = link.status
      const waitedMs = performance.now() - heardAtMs
      if (linked === 'refused') throw new Failure(refused ?? 'RELAY_CLOSED', 'The relay does not let this machine in.')
      if (waitedMs > (state === 'waiting' ? RELAY_WAIT_MS : QUIET_MS))
        throw new Failure(reason ?? 'RELAY_UNREACHABLE', 'The relay of this mesh does not answer.')
      await wait(LOOK_MS)
    }
    return records
  } finally {
    await link.close()
  }
}
