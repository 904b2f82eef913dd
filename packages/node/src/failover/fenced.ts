import { Failure } from '@sealmesh/protocol/errors'
import type { NoAct } from '@sealmesh/protocol/failover/authority'
import type { Blocked } from '@sealmesh/protocol/failover/electable'

export const NO_ACT_WORDS: Readonly<Record<NoAct, string>> = {
  AGENT_UNKNOWN: 'the mesh has no such agent',
  NOT_THE_HOLDER: 'another node holds this agent',
  NOT_A_HOST: 'this node is not among the hosts of the agent any more',
  WITNESS_NEEDED: 'the agent has leases, and the relay in use is not the one that keeps them',
  LEASE_OVER: 'this node has no running lease of the agent',
  LEASE_FULL: 'this node holds more agents than its lease has room for',
  LEASE_UNSURE: 'this process stood still, and its lease is being confirmed',
  DRAINING: 'the agent is being handed over',
  CATCHING_UP: 'what was written elsewhere is still being read',
  ROLLED_BACK: 'this home held more once, and what it wrote is being learnt again',
  QUARANTINED: 'the agent is quarantined here',
}

/** Those that are states of the node, and pass; the others say what is wrong by their own code. */
const PASSING: ReadonlySet<NoAct> = new Set([
  'LEASE_OVER',
  'LEASE_FULL',
  'LEASE_UNSURE',
  'DRAINING',
  'CATCHING_UP',
  'ROLLED_BACK',
  'QUARANTINED',
])

export const fencedBy = (reason: NoAct): Failure =>
  new Failure(PASSING.has(reason) ? 'FENCED' : (reason as 'NOT_THE_HOLDER'), `${capital(NO_ACT_WORDS[reason])}.`)

export function blockedWords(why: Blocked): string {
  switch (why.type) {
    case 'not-in-sync-set':
      return 'this node is not in the set that acknowledgements waited for, or does not know the newest'
    case 'mail-unread':
      return 'what lies at the relay for this node has not been read to the end'
    case 'unheard':
      return 'the holder has not said yet what there is of the agent'
    case 'behind':
      return `the holder has named ${why.blocks} block${why.blocks === 1 ? '' : 's'} that ${why.blocks === 1 ? 'is' : 'are'} not here`
    case 'rolled-back':
      return 'this home held more once, and what it wrote is being learnt again'
    case 'not-granted':
      return `this node may not read ${why.layers.join(', ')}`
  }
}

const capital = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1)
