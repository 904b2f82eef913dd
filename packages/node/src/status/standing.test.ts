import { describe, expect, test } from 'vitest'
import { type PeerFacts, REACHABLE_MS, reasonFor } from './standing.ts'

const NOW = 1_000_000_000
const facts = (change: Partial<PeerFacts> = {}): PeerFacts => ({
  peer: 'office',
  agent: 'claude',
  layer: 'semantic',
  removed: false,
  reads: true,
  relay: { state: 'live', reason: null },
  heardAtMs: NOW - 1_000,
  hasKey: true,
  refused: null,
  toSend: 0,
  toReceive: 0,
  nowMs: NOW,
  ...change,
})
const away = { heardAtMs: NOW - REACHABLE_MS - 1 }

describe('the first cause that explains it', () => {
  test.each<[string, Partial<PeerFacts>, string, RegExp | null]>([
    ['nothing is missing either way', {}, 'in-step', null],
    ['nothing was missing when it was last heard', away, 'in-step', null],
    ['removed machines are sent nothing', { removed: true, toSend: 3 }, 'removed', null],
    ['no grant', { reads: false, toSend: 3 }, 'no-grant', /^sealmesh share set claude semantic=office$/],
    ['no relay at all', { relay: null, toSend: 3 }, 'no-relay', /--relay/],
    [
      'the relay refuses this node',
      { relay: { state: 'refused', reason: 'TOKEN_EXPIRED' }, toSend: 3 },
      'no-relay',
      /pair this node again/,
    ],
    ['no key to seal to', { hasKey: false, toSend: 3, ...away }, 'no-key', /^on office: sealmesh up/],
    ['a full mailbox', { refused: 'QUOTA_BYTES', toSend: 3, ...away }, 'relay-refused', /bring the node/],
    ['never heard', { heardAtMs: null, toReceive: null, toSend: 3 }, 'never-heard', /^on office/],
    ['away', { toSend: 3, ...away }, 'away', /^on office: sealmesh up$/],
    ['on its way', { toSend: 1 }, 'sending', null],
    ['it has more', { toReceive: 2 }, 'receiving', null],
    ['not compared yet', { toReceive: null }, 'not-compared', null],
  ])('%s', (_, change, cause, next) => {
    const reason = reasonFor(facts(change))
    expect(reason.cause).toBe(cause)
    if (next === null) expect(reason.next).toBeNull()
    else expect(reason.next).toMatch(next)
  })

  test('one is one: words count right', () => {
    expect(reasonFor(facts({ toSend: 1 })).text).toContain('1 block yet')
    expect(reasonFor(facts({ toReceive: 2 })).text).toContain('2 blocks')
  })
})
