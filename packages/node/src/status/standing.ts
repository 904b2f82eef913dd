import { reactions } from '@sealmesh/protocol/errors'
import { counted } from './words.ts'

/**
 * Why a machine is not in step with this one about one document: the first cause that explains it, in plain words, and
 * the next step. Pure: `why`, `diff` and `status` all ask here, so they never disagree.
 */

/** A peer that has named its heads within this long is taken to be there. */
export const REACHABLE_MS = 35_000

export type Cause =
  | 'in-step'
  | 'removed'
  | 'no-grant'
  | 'no-relay'
  | 'no-key'
  | 'never-heard'
  | 'relay-refused'
  | 'away'
  | 'sending'
  | 'receiving'
  | 'not-compared'

export interface PeerFacts {
  readonly peer: string
  readonly agent: string
  readonly layer: string
  readonly removed: boolean
  readonly reads: boolean
  /** Null: no relay is named. */
  readonly relay: { readonly state: string; readonly reason: string | null } | null
  /** When it was last heard, in this run or an earlier one. */
  readonly heardAtMs: number | null
  /** Whether it has a key that packets can be sealed to. */
  readonly hasKey: boolean
  /** Why the relay refused the last packet for it. */
  readonly refused: string | null
  readonly toSend: number
  /** Null when it has named nothing yet. */
  readonly toReceive: number | null
  readonly nowMs: number
}

export interface Reason {
  readonly cause: Cause
  readonly text: string
  /** A command, or a step in words; null when there is nothing to do. */
  readonly next: string | null
}

export const isHere = (heardAtMs: number | null, nowMs: number): boolean =>
  heardAtMs !== null && nowMs - heardAtMs <= REACHABLE_MS

export function reasonFor(facts: PeerFacts): Reason {
  const { peer, relay, heardAtMs, nowMs, toSend, toReceive } = facts
  if (facts.removed)
    return { cause: 'removed', text: `${peer} was removed from the mesh and is sent nothing`, next: null }
  if (!facts.reads)
    return {
      cause: 'no-grant',
      text: `${facts.agent}.${facts.layer} is not shared with ${peer}`,
      next: `sealmesh share set ${facts.agent} ${facts.layer}=${peer}`,
    }
  const here = isHere(heardAtMs, nowMs)
  if (toSend === 0 && toReceive === 0)
    return {
      cause: 'in-step',
      text: here ? `${peer} has the same` : `${peer} had the same when it was last heard`,
      next: null,
    }
  if (relay === null)
    return { cause: 'no-relay', text: 'this mesh has no relay', next: 'sealmesh up --relay ADDRESS --claim CODE' }
  if (relay.state !== 'live') {
    const why = relay.reason === null ? '' : ` (${relay.reason})`
    return { cause: 'no-relay', text: `this machine is not connected to the relay${why}`, next: nextOf(relay.reason) }
  }
  if (!facts.hasKey)
    return {
      cause: 'no-key',
      text: `${peer} was away for so long that nothing can be sealed to it`,
      next: `on ${peer}: sealmesh up`,
    }
  if (facts.refused !== null)
    return {
      cause: 'relay-refused',
      text: `the relay refuses what is sent to ${peer} (${facts.refused})`,
      next: nextOf(facts.refused),
    }
  if (heardAtMs === null)
    return {
      cause: 'never-heard',
      text: `${peer} has not been heard yet`,
      next: `on ${peer}: sealmesh up, and sealmesh status`,
    }
  if (!here) return { cause: 'away', text: `${peer} is away`, next: `on ${peer}: sealmesh up` }
  if (toSend > 0)
    return { cause: 'sending', text: `on its way: ${peer} has not confirmed ${blocks(toSend)} yet`, next: null }
  if (toReceive === null)
    return { cause: 'not-compared', text: `${peer} is here and has not yet said what it has`, next: null }
  return { cause: 'receiving', text: `${peer} has ${blocks(toReceive)} that have not arrived here`, next: null }
}

export const blocks = (count: number): string => counted(count, 'block')

const nextOf = (code: string | null): string | null =>
  code !== null && Object.hasOwn(reactions, code) ? reactions[code as keyof typeof reactions].next : null
