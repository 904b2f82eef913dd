import { HANDOVERS, QUICK_TAKEOVERS, SETS_CHANGE, SLOW_ANSWERS, STANDBYS_LOSE_POWER } from './directed.ts'
import type { Mutant } from './mutant.ts'

const LEASE = 'protocol/dist/failover/node-lease.js'
const ACTING = 'node/dist/failover/acting.js'
const TAKER = 'node/dist/failover/taker.js'
const OWN = 'node/dist/failover/own-register.js'

/** Rules of leases, takeovers and acknowledgements. */
export const LEASE_MUTANTS: readonly Mutant[] = [
  {
    name: 'resume-from-disk',
    rule: 'a run of a node holds nothing until a compare-and-set of its own has succeeded',
    seeds: [29, 6],
    patches: [
      {
        file: ACTING,
        from: 'const record = lease.holds(agent, now)?.record;',
        to: `const record = lease.holds(agent, now)?.record
            ?? (lease.won === null && lease.mayBeListed(agent) ? mesh().agents.get(agent)?.term?.record : undefined);`,
      },
      {
        file: ACTING,
        from: 'caughtUp: record !== undefined && this.#caughtUp.get(agent) === record,',
        to: 'caughtUp: lease.won === null || (record !== undefined && this.#caughtUp.get(agent) === record),',
      },
    ],
  },
  {
    name: 'lease-by-timer',
    rule: 'whether the lease runs is asked in the tick of the act, not from a timer that may be late',
    seeds: [70, 22],
    patches: [
      { file: ACTING, from: 'const now = this.#look();', to: 'const now = this.#looked;' },
      {
        file: ACTING,
        from: 'const judged = this.judge(agent);',
        to: 'this.#look(); const judged = this.judge(agent);',
      },
    ],
  },
  {
    name: 'monotonic-only',
    rule: 'time that the machine slept counts',
    seeds: [70, 22],
    patches: [
      {
        file: 'protocol/dist/failover/elapsed.js',
        from: 'Math.max(to.monotonicMs - from.monotonicMs, to.uptimeMs - from.uptimeMs)',
        to: 'to.monotonicMs - from.monotonicMs',
      },
    ],
  },
  {
    name: 'lease-from-response',
    rule: 'a lease counts from when its renewal was sent',
    seeds: [6, 2, 1],
    patches: [{ file: OWN, from: 'lease.answered(blob, sent);', to: 'lease.answered(blob, moment());' }],
    world: { parameters: SLOW_ANSWERS },
  },
  {
    name: 'act-before-catch-up',
    rule: 'nobody acts before others can know of the term, and before all that lay at the relay has been read',
    patches: [
      {
        file: 'protocol/dist/failover/authority.js',
        from: 'if (!standing.caughtUp)',
        to: 'if (false)',
      },
    ],
  },
  {
    name: 'acts-by-log',
    rule: 'a leased agent acts under a lease',
    seeds: [4],
    patches: [
      {
        file: 'protocol/dist/failover/authority.js',
        from: 'if (standing.listed !== term.record)',
        to: 'if (false)',
      },
      { file: 'protocol/dist/failover/authority.js', from: 'if (!standing.caughtUp)', to: 'if (false)' },
    ],
  },
  {
    name: 'no-min-age',
    rule: 'a lease is broken only when nobody can count on it any more',
    seeds: [152],
    patches: [
      {
        file: 'protocol/dist/failover/timing.js',
        from: 'Math.ceil((leaseMs * (1 + CLOCK_DRIFT)) / (1 - CLOCK_DRIFT)) + CLOCK_GRAIN_MS',
        to: 'leaseMs / 20',
      },
    ],
  },
  {
    name: 'no-drift-margin',
    rule: 'the holder stops before the end of its lease, and others wait longer than that on any clock',
    patches: [
      { file: 'protocol/dist/failover/timing.js', from: 'leaseMs - guardMs', to: 'leaseMs' },
      {
        file: 'protocol/dist/failover/timing.js',
        from: 'Math.ceil((leaseMs * (1 + CLOCK_DRIFT)) / (1 - CLOCK_DRIFT)) + CLOCK_GRAIN_MS',
        to: 'leaseMs',
      },
    ],
    world: { parameters: QUICK_TAKEOVERS },
  },
  {
    name: 'any-blob-is-replaced',
    rule: 'a register is replaced only by who knows what lies there',
    patches: [
      {
        file: 'relay/dist/core/slots.js',
        from: 'expected !== null && equalBytes(content.hash, expected)',
        to: 'true',
      },
    ],
  },
  {
    name: 'witness-unsynced',
    rule: 'the relay answers for a register when it is on its disk',
    world: { relayAnswersEarly: true },
  },
  {
    name: 'taken-not-learnt',
    rule: 'what others took out of a register is not claimed again',
    patches: [{ file: LEASE, from: 'if (this.isTaken(agent, term))', to: 'if (false)' }],
  },
  {
    name: 'log-before-register',
    rule: 'a new term enters the log when the register of the old holder says so',
    patches: [
      {
        file: TAKER,
        from: 'const slot = leaseSlotOf(key, blob.node, sodium);',
        to: 'await this.enter(draft); const slot = leaseSlotOf(key, blob.node, sodium);',
      },
    ],
  },
  {
    name: 'sync-set-not-asked',
    rule: 'only a member of the set that acknowledgements waited for takes over by itself',
    patches: [
      {
        file: 'protocol/dist/failover/electable.js',
        from: 'if (!isFirst && !isMember)',
        to: 'if (false)',
      },
    ],
  },
  {
    name: 'mail-left-unread',
    rule: 'who takes over has read all that lay at the relay for it',
    patches: [
      { file: 'protocol/dist/failover/electable.js', from: 'if (!drained)', to: 'if (false)' },
      { file: 'protocol/dist/failover/electable.js', from: 'return behind > 0 ?', to: 'return false ?' },
      { file: TAKER, from: 'const drained = await this.#deps.drained(timing.retryMs);', to: 'const drained = true;' },
    ],
  },
  {
    name: 'sync-set-swapped-at-once',
    rule: 'who left a set counts until the register says so',
    patches: [
      {
        file: 'protocol/dist/failover/counted.js',
        from: "if (failover.mode === 'manual' || listed === syncSet?.record)",
        to: 'if (true)',
      },
    ],
    world: { parameters: SETS_CHANGE },
  },
  {
    name: 'delivered-counts-as-stored',
    rule: 'what the relay has handed over without storing it lies on no disk yet',
    patches: [
      {
        file: 'node/dist/sync/answers.js',
        from: "outcome === 'stored'",
        to: "outcome !== 'refused'",
      },
    ],
    world: { parameters: STANDBYS_LOSE_POWER },
  },
  {
    name: 'not-frozen',
    rule: 'what is being handed over does not act',
    seeds: [1, 2, 3],
    patches: [{ file: 'node/dist/failover/handover.js', from: 'acting.freeze(agentId);', to: '' }],
    world: { parameters: HANDOVERS },
  },
  {
    name: 'rollback-flag-in-memory',
    rule: 'that a home was rolled back survives a restart',
    patches: [
      {
        file: 'node/dist/health/home-health.js',
        from: 'this.#dirty = true;\n        // The first',
        to: '// The first',
      },
    ],
  },
  {
    name: 'count-not-kept',
    rule: 'a node writes down what it is about to write into its register before it does',
    patches: [
      {
        file: OWN,
        from: `this.#deps.leftOut(leftOut);
            await store.keep(lease.memory);`,
        to: 'this.#deps.leftOut(leftOut);',
      },
    ],
  },
  {
    name: 'term-resets-on-release',
    rule: 'every term has a higher number than all before it',
    patches: [
      {
        file: 'protocol/dist/failover/takeover.js',
        from: '(agent.term?.number ?? 0) + 1',
        to: '1',
      },
    ],
  },
  {
    name: 'doubt-is-forgotten',
    rule: 'what a witness says that has forgotten is not believed',
    patches: [{ file: LEASE, from: 'doubt: this.#memory.count + 1, confirmed: 0', to: 'confirmed: 0' }],
  },
]
