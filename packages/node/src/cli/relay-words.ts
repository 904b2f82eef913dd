import { setTimeout as wait } from 'node:timers/promises'
import { type FailureCode, reactions } from '@sealmesh/protocol/errors'
import type { Status } from '@sealmesh/protocol/ipc/methods'
import { connectDoor } from '../ipc/client.ts'
import { oneLine } from './printable.ts'
import type { Session } from './session.ts'

type Relay = Status['relays'][number]

const RELAYS_WAIT_MS = 3_000 // What a person waits gladly; a relay that is there answers within one.
const LOOK_AGAIN_MS = 100

/** Where this node stands with one relay, and what to do where the node cannot help itself. */
export function relayWords({ command }: Pick<Session, 'command'>, relay: Pick<Relay, 'state' | 'reason'>): string {
  if (relay.state === 'live') return 'live'
  const reason = relay.reason === null ? relay.state : oneLine(relay.reason)
  const next = nextOf(relay.reason, command)
  const what = relay.state === 'refused' ? 'refuses this node' : 'not reached yet'
  return `${what}: ${reason}${next === undefined ? '' : `; next: ${next}`}`
}

/** Through which proxy, and whose word its certificate is. */
export function wayWords({ tls, proxy }: Pick<Relay, 'tls' | 'proxy'>): string {
  const through = proxy === null ? 'direct' : `proxy ${oneLine(proxy, 60)}`
  return tls === 'relay-key-only' ? `${through}, any certificate` : through
}

/** After a start in the background: waits until each relay is reached or is known not to be, and says which. */
export async function tellRelays(session: Session, socketPath: string): Promise<void> {
  if (session.output.json) return
  const door = await connectDoor(socketPath)
  try {
    const giveUpAtMs = Date.now() + RELAYS_WAIT_MS
    for (;;) {
      const { relays } = await door.call('status', {})
      const isSettled = relays.every(({ state, reason }) => state === 'live' || reason !== null)
      if (isSettled || Date.now() >= giveUpAtMs) {
        for (const relay of relays)
          session.output.say(`relay ${oneLine(relay.address, 60)}: ${relayWords(session, relay)}`)
        return
      }
      await wait(LOOK_AGAIN_MS, undefined, { signal: session.signal })
    }
  } finally {
    await door.close()
  }
}

function nextOf(reason: string | null, command: Session['command']): string | undefined {
  if (reason === 'CLAIM_INVALID' || reason === 'CLAIM_REQUIRED')
    return `sealmesh-relay claim on the relay prints a code, then ${command('down')} and ${command('up --claim CODE')}`
  return reason !== null && Object.hasOwn(reactions, reason) ? reactions[reason as FailureCode].next : undefined
}
