import { LEASE_MUTANTS } from './lease-mutants.ts'
import type { Mutant } from './mutant.ts'

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'drop-late-blocks',
    rule: 'a block of a term that is over is stored and listed, not refused',
    seeds: [1],
    patches: [
      {
        file: 'node/dist/documents/arrivals.js',
        from: '    if (signKey === undefined || !mayEverWrite(mesh, author, name)) {',
        to: `    const highest = mesh.agents.get(name.agent)?.term?.number ?? 0;
      if (block.header.term !== null && block.header.term.number < highest) return undefined;
      if (signKey === undefined || !mayEverWrite(mesh, author, name)) {`,
      },
    ],
  },
  {
    name: 'fold-late-blocks',
    rule: 'a block that the basis of a higher term does not cover is set aside',
    seeds: [1],
    patches: [
      {
        file: 'protocol/dist/membership/judge.js',
        from: "return overtaken ? { type: 'late', term: held.number } : { type: 'fold' };",
        to: "return { type: 'fold' };",
      },
    ],
  },
  {
    name: 'no-second-judgement',
    rule: 'what the log says anew is asked of blocks that were judged before',
    seeds: [1],
    patches: [
      {
        file: 'node/dist/documents/documents.js',
        from: 'await Promise.all(this.#open.all().map((document) => document.judgeAgain()));',
        to: '',
      },
    ],
  },
  {
    name: 'wall-clock-first',
    rule: 'a write comes after what it replaces, whatever the clock on the wall shows',
    seeds: [11],
    patches: [
      {
        file: 'protocol/dist/crdt/writer.js',
        from: 'const time = timeBeyond(latest, world);',
        to: 'const time = { wallMs: world.nowMs, counter: 0 };',
      },
    ],
  },
  {
    name: 'basis-from-nothing',
    rule: 'a term starts from what its holder has',
    seeds: [1, 3],
    patches: [
      {
        file: 'protocol/dist/failover/takeover.js',
        from: 'basis: documents.toSorted((a, b) => (a.layer < b.layer ? -1 : 1)),',
        to: 'basis: [],',
      },
    ],
  },
  {
    name: 'reuse-incarnation',
    rule: 'every start writes under an incarnation of its own',
    seeds: [7],
    world: { sameIncarnation: true },
  },
  {
    name: 'ack-before-fsync',
    rule: 'what is answered is on the disk',
    seeds: [4],
    world: { disksAnswerEarly: true },
  },
  {
    name: 'torn-batch',
    rule: 'a batch is on the disk whole or not at all',
    world: { batchesTear: true },
  },
  {
    name: 'receipts-never-fall',
    rule: 'a peer that names less than before has lost it, and gets it again',
    seeds: [5, 4],
    patches: [
      {
        file: 'protocol/dist/sync/peer-sync.js',
        from: 'this.#says(shared, { named: vector, receipted: vector, sent }, receipts);',
        to: 'this.#says(shared, { named: vector, receipted: joinTips(shared.receipted, vector), sent: joinTips(shared.sent, vector) }, receipts);',
      },
    ],
  },
  {
    name: 'grants-not-asked',
    rule: 'blocks go to those only whom a grant names',
    seeds: [1],
    patches: [
      {
        file: 'protocol/dist/membership/access.js',
        from: 'return membersOf(mesh, [...readers, ...holderOf(known)]);',
        to: 'return membersOf(mesh, [...readers, ...known.hosts]);',
      },
    ],
  },
  {
    name: 'words-outlive-rights',
    rule: 'what a peer named while it read more is neither missing nor withheld when it reads less',
    seeds: [1],
    patches: [
      {
        file: 'protocol/dist/sync/peer-sync.js',
        from: 'this.#authors.word(peerReads, bothRead, mine, shared.named)',
        to: 'shared.named',
      },
    ],
  },
  {
    name: 'plaintext-on-the-wire',
    rule: 'what leaves a machine is sealed',
    seeds: [1],
    world: { sealsNothing: true },
  },
  {
    name: 'stored-before-durable',
    rule: 'a packet is acknowledged to the relay when what it brought is stored',
    patches: [
      {
        file: 'node/dist/sync/mesh-sync.js',
        from: 'this.#inHand.set(key, [acknowledge]);',
        to: 'this.#inHand.set(key, []); acknowledge();',
      },
    ],
  },
  ...LEASE_MUTANTS,
]

export const mutantNamed = (name: string): Mutant | undefined => MUTANTS.find((each) => each.name === name)
