import { compareText, toHex } from '@sealmesh/protocol/bytes'
import type { Block } from '@sealmesh/protocol/crdt/block'
import type { NodeId, RecordHash } from '@sealmesh/protocol/ids'
import { livePrekey, readersOf, writersOf } from '@sealmesh/protocol/membership/access'
import { agrees, checkpointOf, meshDigest } from '@sealmesh/protocol/membership/checkpoint'
import { judgeWith } from '@sealmesh/protocol/membership/judge'
import { MembershipLog } from '@sealmesh/protocol/membership/log'
import type { Mesh, MeshAgent, MeshNode } from '@sealmesh/protocol/membership/mesh'
import type { SignedRecord } from '@sealmesh/protocol/membership/record'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { type GeneratedLog, generatedLog, growLog, pick } from './generated-log.ts'
import { blockBy, bySequence, type Machine } from './scene.ts'

const RUNS = { numRuns: 150, verbose: 1 } // fast-check prints seed and path of what fails.

/** All that a mesh says, without the order in which its records came. */
const said = (mesh: Mesh) => ({
  ...mesh,
  isInPast: undefined,
  records: [...mesh.records.keys()].toSorted(),
  voided: [...mesh.voided].toSorted(([a], [b]) => compareText(a, b)),
  nodes: [...mesh.nodes],
  agents: [...mesh.agents],
  epoch: toHex(mesh.epoch),
})

/** Ancestors found by walking, which shares nothing with the bitsets. */
function pastOf(record: SignedRecord, records: ReadonlyMap<RecordHash, SignedRecord>): Set<RecordHash> {
  const past = new Set<RecordHash>()
  const open = [...record.parents]
  for (let hash = open.pop(); hash !== undefined; hash = open.pop()) {
    if (past.has(hash)) continue
    past.add(hash)
    open.push(...(records.get(hash)?.parents ?? []))
  }
  return past
}

interface Walk {
  readonly mesh: Mesh
  readonly counting: readonly SignedRecord[]
  readonly isBefore: (ancestor: SignedRecord, record: SignedRecord) => boolean
}

function walk({ scene }: GeneratedLog): Walk {
  const mesh = scene.fold()
  const pasts = new Map([...mesh.records].map(([hash, record]) => [hash, pastOf(record, mesh.records)]))
  return {
    mesh,
    counting: [...mesh.records.values()].filter(({ hash }) => !mesh.voided.has(hash)),
    isBefore: (ancestor, record) => pasts.get(record.hash)?.has(ancestor.hash) === true,
  }
}

const isRevokeOf = (node: NodeId) => (record: SignedRecord) =>
  record.body.type === 'revoke' && record.body.node === node

/** A log, and another order in which its records might come, with repeats. */
const logAndOrder = fc
  .tuple(generatedLog(), fc.infiniteStream(fc.nat(1_000_000)), fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }))
  .map(
    ([log, dice, foldHere]) => [log, shuffled([...log.scene.records, ...log.scene.records], dice), foldHere] as const,
  )

function shuffled<T>(all: readonly T[], dice: Iterator<number>): T[] {
  const keyed = all.map((each) => ({ each, key: dice.next().value as number }))
  return keyed.toSorted((a, b) => a.key - b.key).map(({ each }) => each)
}

test('the same records are the same mesh, in any order of arrival, with repeats, in any grouping', () => {
  fc.assert(
    fc.property(logAndOrder, ([{ scene }, order, foldHere]) => {
      const log = new MembershipLog(scene.mesh, scene.sodium)
      order.forEach((record, i) => {
        log.add(record)
        if (foldHere[i % foldHere.length]) void log.mesh // A fold in between leaves nothing behind.
      })
      const expected = said(scene.fold())
      expect(said(log.mesh)).toEqual(expected)
      expect(said(MembershipLog.restore(scene.mesh, order, scene.sodium).mesh)).toEqual(expected)
      expect(log.mesh.missing).toEqual([])
    }),
    RUNS,
  )
})

test('causal pasts from bitsets are those found by walking', () => {
  fc.assert(
    fc.property(logAndOrder, ([log, order]) => {
      const { mesh, isBefore } = walk(log)
      const reordered = MembershipLog.restore(mesh.id, order, log.scene.sodium).mesh
      for (const a of mesh.records.values())
        for (const b of mesh.records.values())
          for (const one of [mesh, reordered]) expect(one.isInPast(a.hash, b.hash)).toBe(a === b || isBefore(a, b))
    }),
    { ...RUNS, numRuns: 60 },
  )
})

test('T-revoked-2: nothing that a removed node signed outside the past of its removal counts, other than removals', () => {
  fc.assert(
    fc.property(generatedLog(), (log) => {
      const { counting, isBefore } = walk(log)
      for (const revoke of counting) {
        if (revoke.body.type !== 'revoke') continue
        const removed = revoke.body.node
        for (const record of counting) {
          if (record.signer.type !== 'node' || record.signer.node !== removed || record.body.type === 'revoke') continue
          expect(isBefore(record, revoke)).toBe(true)
        }
      }
    }),
    RUNS,
  )
})

test('T-peer-4: whatever counts was signed by a node whose admission counts and is in its past, a removal apart', () => {
  fc.assert(
    fc.property(generatedLog(), (log) => {
      const { mesh, counting, isBefore } = walk(log)
      for (const record of counting) {
        const { signer } = record
        if (signer.type !== 'node' || record.body.type === 'revoke') continue
        const identity = mesh.nodes.get(signer.node)
        const admission = counting.find(
          ({ body, hash }) =>
            (body.type === 'found' || body.type === 'admit') &&
            toHex(body.node.signKey) === toHex(identity?.signKey ?? new Uint8Array()) &&
            isBefore(mesh.records.get(hash) as SignedRecord, record),
        )
        expect(admission).toBeDefined()
      }
    }),
    RUNS,
  )
})

test('T-revoked-2: a removal that stands in a part of the log stands in all of it: no later word brings a node back', () => {
  fc.assert(
    fc.property(generatedLog(), fc.nat(60), ({ scene }, length) => {
      // A prefix of the records in the order in which they were signed is closed under ancestors.
      const part = scene.fold(scene.records.slice(0, length))
      const whole = scene.fold()
      for (const [id, node] of part.nodes) {
        const later = whole.nodes.get(id)?.revocations ?? []
        // A node may vanish altogether, when its admission turns out void.
        if (!whole.nodes.has(id)) continue
        expect(later).toEqual(expect.arrayContaining([...node.revocations]))
      }
    }),
    RUNS,
  )
})

test('T-revoked-4: a removed node reads nothing, writes nothing, hosts nothing and is sent nothing', () => {
  fc.assert(
    fc.property(generatedLog(), ({ scene, agents }) => {
      const mesh = scene.fold()
      const removed = new Set(
        [...mesh.nodes.values()].filter((node) => node.revocations.length > 0).map(({ id }) => id),
      )
      const sent = [...mesh.nodes.values()].filter((node) => removed.has(node.id) && livePrekey(node, 1) !== undefined)
      expect(sent).toEqual([])
      for (const { id } of agents) {
        const named = [
          ...(mesh.agents.get(id)?.hosts ?? []),
          ...['semantic', 'session'].flatMap((layer) => [...readersOf(mesh, id, layer), ...writersOf(mesh, id, layer)]),
        ]
        for (const node of named) {
          expect(removed.has(node)).toBe(false)
          expect(mesh.nodes.has(node)).toBe(true)
        }
      }
    }),
    RUNS,
  )
})

test('T-revoked-3: two who remove each other from what both knew are both removed, whatever else is in the log', () => {
  fc.assert(
    fc.property(generatedLog(), ({ scene, machines }) => {
      const before = scene.fold()
      const [one, other] = machines as [(typeof machines)[0], (typeof machines)[0]]
      const able = [one, other].every(({ id }) => {
        const node = before.nodes.get(id)
        return node?.admin === true && node.revocations.length === 0
      })
      fc.pre(able && before.heads.length <= 64)
      const after = before.heads.map((hash) => before.records.get(hash) as SignedRecord)
      const body = (node: NodeId) => ({ type: 'revoke', node, reason: '', cuts: [] }) as const
      scene.sign(one, body(other.id), { after })
      scene.sign(other, body(one.id), { after })
      const mesh = scene.fold()
      for (const { id } of [one, other]) expect(mesh.nodes.get(id)?.revocations.length).toBeGreaterThan(0)
    }),
    { ...RUNS, numRuns: 200 },
  )
})

test('a term counts only above every counting term in its past, and for a node that a host record in its past names', () => {
  fc.assert(
    fc.property(generatedLog(), (log) => {
      const { counting, isBefore } = walk(log)
      for (const record of counting) {
        const { body } = record
        if (body.type !== 'assign') continue
        expect(record.signer).toEqual({ type: 'node', node: body.holder })
        const past = counting.filter((each) => isBefore(each, record))
        const numbers = past.flatMap((each) =>
          each.body.type === 'assign' && each.body.agent === body.agent ? [each.body.term] : [],
        )
        expect(body.term).toBeGreaterThan(Math.max(0, ...numbers))
        const hosted = past.some(
          (each) =>
            each.body.type === 'host' && each.body.agent === body.agent && each.body.nodes.includes(body.holder),
        )
        expect(hosted).toBe(true)
      }
    }),
    RUNS,
  )
})

test('nothing signed under delegation counts outside the past of a higher term', () => {
  fc.assert(
    fc.property(generatedLog(60), (log) => {
      const { counting, isBefore } = walk(log)
      for (const record of counting) {
        const { body, signer } = record
        if (signer.type !== 'node' || !('agent' in body) || body.type === 'assign' || body.type === 'sync') continue
        const assigns = counting.filter((each) => each.body.type === 'assign' && each.body.agent === body.agent)
        const numberOf = ({ body }: SignedRecord) => (body.type === 'assign' ? body.term : 0)
        const under = Math.max(...assigns.filter((each) => isBefore(each, record)).map(numberOf))
        expect(
          assigns.some(
            (each) =>
              each.body.type === 'assign' &&
              each.body.holder === signer.node &&
              each.body.term === under &&
              isBefore(each, record),
          ),
        ).toBe(true)
        expect(assigns.filter((higher) => numberOf(higher) > under && !isBefore(record, higher))).toEqual([])
      }
    }),
    RUNS,
  )
})

test('a sync set that counts is of a term in its past, by its holder, who is in it', () => {
  fc.assert(
    fc.property(generatedLog(60), (log) => {
      const { counting, isBefore } = walk(log)
      for (const record of counting) {
        const { body, signer } = record
        if (body.type !== 'sync') continue
        const term = counting.find(({ hash }) => hash === body.term)
        expect(term !== undefined && isBefore(term, record)).toBe(true)
        expect(term?.body).toMatchObject({ type: 'assign', agent: body.agent })
        expect(signer).toEqual(term?.signer)
        expect(body.members).toContain(signer.type === 'node' ? signer.node : null)
      }
    }),
    RUNS,
  )
})

const blockChoices = fc.array(
  fc.record({
    author: fc.nat(99),
    agent: fc.nat(99),
    layer: fc.constantFrom('semantic', 'session'),
    sequence: fc.integer({ min: 1, max: 4 }),
    heads: fc.array(fc.nat(999), { maxLength: 2 }),
    term: fc.nat(99),
  }),
  { minLength: 20, maxLength: 20 },
)

type BlockChoice = typeof blockChoices extends fc.Arbitrary<(infer Choice)[]> ? Choice : never

function blockOf({ scene, machines, agents }: GeneratedLog, choice: BlockChoice): { author: Machine; block: Block } {
  const author = pick(machines, choice.author)
  const assigns = scene.records.flatMap(({ body, hash }) => (body.type === 'assign' ? [{ body, hash }] : []))
  const { body, hash } = pick(assigns, choice.term)
  // Mostly the term's own holder and agent, or nearly every block would be in the wrong term.
  const own = choice.layer === 'session' && choice.term % 4 > 0
  const document = { agent: own ? body.agent : pick(agents, choice.agent).id, layer: choice.layer }
  const writer = own ? (machines.find(({ id }) => id === body.holder) ?? author) : author
  const block = blockBy(writer, document, {
    mesh: scene.mesh,
    sequence: choice.sequence,
    heads: choice.heads.map((at) => pick(scene.records, at).hash),
    term: choice.layer === 'session' ? { number: body.term, assign: hash } : null,
  })
  return { author: writer, block }
}

test('the verdict on a block is a function of block and log: not of the order in which the log came', () => {
  fc.assert(
    fc.property(logAndOrder, blockChoices, ([log, order], choices) => {
      const { scene } = log
      const { mesh, counting } = walk(log)
      const restored = MembershipLog.restore(scene.mesh, order, scene.sodium).mesh
      const judges = [mesh, scene.fold(order), restored].map(judgeWith)
      for (const choice of choices) {
        const { author, block } = blockOf(log, choice)
        const [verdict, ...others] = judges.map((judge) => judge(block, bySequence))
        for (const other of others) expect(other).toEqual(verdict)

        // Whatever folds of a removed author lies in a cut of one of its removals.
        const removals = counting.filter(isRevokeOf(author.id))
        if (verdict?.type !== 'fold' || removals.length === 0) continue
        const cuts = removals.flatMap(({ body }) => (body.type === 'revoke' ? body.cuts : []))
        const { document } = block.header
        expect(
          cuts.some(
            (cut) =>
              cut.document.agent === document.agent &&
              cut.document.layer === document.layer &&
              bySequence(cut.vector, block),
          ),
        ).toBe(true)
      }
    }),
    RUNS,
  )
})

test('an added record alters no verdict back and forth: what is late in a log is late in every longer one, or void', () => {
  fc.assert(
    fc.property(generatedLog(), blockChoices, fc.nat(60), (log, choices, length) => {
      const { scene } = log
      const judges = [scene.fold(scene.records.slice(0, length)), scene.fold()] as const
      const whole = judges[1]
      for (const choice of choices) {
        const { block } = blockOf(log, choice)
        const [before, after] = judges.map((mesh) => judgeWith(mesh)(block, bySequence))
        // An assign that made it late may itself turn out void: then, and only then, it is late no more.
        const overtaking = [...whole.records.values()].filter(
          ({ body, hash }) => body.type === 'assign' && judges[0].records.has(hash) && whole.voided.has(hash),
        )
        if (before?.type !== 'late' || overtaking.length > 0) continue
        expect(['late', 'void']).toContain(after?.type)
      }
    }),
    RUNS,
  )
})

test('what is generated falls to every rule but one, and meets every verdict: these properties speak of something', () => {
  const reasons = new Set<string>()
  const verdicts = new Set<string>()
  const runs = fc.sample(fc.tuple(generatedLog(), blockChoices), { numRuns: 500, seed: 11 })
  for (const [log, choices] of runs) {
    const mesh = log.scene.fold()
    for (const reason of mesh.voided.values()) reasons.add(reason)
    for (const choice of choices) {
      const verdict = judgeWith(mesh)(blockOf(log, choice).block, bySequence)
      verdicts.add(verdict.type === 'void' ? verdict.reason : verdict.type)
    }
  }
  // The one: a machine here has one identity only, so that SUBJECT_TAKEN has an example of its own.
  expect([...reasons].toSorted()).toEqual([
    'NOT_A_HOST',
    'SIGNER_NOT_ALLOWED',
    'SIGNER_REVOKED',
    'SIGNER_UNKNOWN',
    'SUBJECT_REVOKED',
    'SUBJECT_UNKNOWN',
    'TERM_NOT_HIGHER',
    'TERM_PASSED',
  ])
  // Heads are unknown when they are of records that entered nowhere.
  const every = ['BEYOND_CUT', 'LAPSED', 'NOT_A_WRITER', 'UNKNOWN_AUTHOR', 'WRONG_TERM', 'fold', 'late', 'unknown']
  expect([...verdicts].toSorted()).toEqual(every)
})

test('T-peer-10: whatever counts for an agent was signed by its own key, or by a host that holds its term and was delegated to', () => {
  let [own, delegated] = [0, 0]
  fc.assert(
    fc.property(generatedLog(60), (log) => {
      const { counting, isBefore } = walk(log)
      for (const record of counting) {
        const { body, signer } = record
        if (body.type !== 'host' && body.type !== 'grant' && body.type !== 'ungrant') continue
        if (signer.type === 'agent') {
          expect(signer.agent).toBe(body.agent)
          own++
          continue
        }
        if (signer.type !== 'node') throw new Error('the root speaks for no agent')
        delegated++
        const past = counting.filter((each) => isBefore(each, record))
        const hosts = past.filter((each) => each.body.type === 'host' && each.body.agent === body.agent)
        const latest = hosts.filter((each) => !hosts.some((later) => isBefore(each, later)))
        expect(latest.some((each) => each.body.type === 'host' && each.body.delegate)).toBe(true)
        expect(hosts.some((each) => each.body.type === 'host' && each.body.nodes.includes(signer.node))).toBe(true)
        expect(past.some(isRevokeOf(signer.node))).toBe(false)
        if (body.type === 'ungrant') expect(past.some(({ hash }) => hash === body.grant)).toBe(true)
      }
    }),
    RUNS,
  )
  // It was about something.
  expect(Math.min(own, delegated)).toBeGreaterThan(20)
})

test('a true checkpoint is true for whoever has the records, in any order and with whatever came later; a false one for nobody', () => {
  fc.assert(
    fc.property(
      generatedLog(),
      fc.nat(60),
      fc.infiniteStream(fc.nat(1_000_000)),
      ({ scene, machines }, length, dice) => {
        const known = scene.records.slice(0, Math.max(1, length))
        const then = scene.fold(known)
        fc.pre(then.heads.length <= 64)
        const said = checkpointOf(then, scene.sodium)
        const after = then.heads.map((hash) => then.records.get(hash) as SignedRecord)
        const by = machines[0] as Machine
        const right = scene.sign(by, said, { after })
        const wrong = scene.sign(by, { type: 'checkpoint', digest: new Uint8Array(32).fill(3) }, { after })
        const mesh = MembershipLog.restore(scene.mesh, shuffled(scene.records, dice), scene.sodium).mesh
        expect([right, wrong].map(({ hash }) => agrees(mesh, hash, scene.sodium))).toEqual([true, false])
      },
    ),
    { ...RUNS, numRuns: 80 },
  )
})

test('the digest of a checkpoint names all that a mesh says', () => {
  const { scene } = growLog([])
  const mesh = scene.fold()
  const digest = toHex(meshDigest(mesh, scene.sodium))
  const [node] = [...mesh.nodes.values()] as [MeshNode]
  const [agent] = [...mesh.agents.values()] as [MeshAgent]
  const [record] = [...mesh.records.keys()] as [RecordHash]
  const ending = { record, cuts: [] }
  const nodes = (change: Partial<MeshNode>) => ({ nodes: new Map([...mesh.nodes, [node.id, { ...node, ...change }]]) })
  const agents = (change: Partial<MeshAgent>) => ({ agents: new Map([[agent.id, { ...agent, ...change }]]) })
  const grant = {
    record,
    layer: 'semantic',
    to: { type: 'standby' },
    access: 'read',
    ended: null,
    endings: [],
  } as const
  const changes: Partial<Mesh>[] = [
    { name: 'other' },
    { epoch: new Uint8Array(32) },
    { relays: [{ address: 'wss://other', relay: node.id as never }] },
    { recovery: { loginKey: node.loginKey, mailbox: node.id as never, sealKey: node.loginKey as never } },
    { recovery: { loginKey: node.loginKey, mailbox: agent.id as never, sealKey: node.loginKey as never } },
    { voided: new Map([[record, 'SIGNER_REVOKED']]) },
    nodes({ name: 'other' }),
    nodes({ admin: !node.admin }),
    nodes({ loginKey: new Uint8Array(32) as never }),
    nodes({ revocations: [ending] }),
    nodes({ lapses: [ending] }),
    nodes({ lapsed: true }),
    nodes({
      prekeys: [
        { publicKey: node.loginKey as never, notBeforeMs: 0, expiresMs: 1, record, mailboxes: new Uint8Array() },
      ],
    }),
    { agents: new Map() },
    agents({ name: 'other' }),
    agents({ delegate: !agent.delegate }),
    agents({ hosts: agent.hosts.toReversed() }),
    agents({ hostings: [] }),
    agents({ terms: [] }),
    agents({ grants: [grant] }),
    agents({ grants: [{ ...grant, endings: [ending] }] }),
    agents({ failover: { record, mode: 'auto', durability: 'strict' } }),
    { witness: { record, relays: [], profile: 'fast' } },
  ]
  const digests = changes.map((change) => toHex(meshDigest({ ...mesh, ...change }, scene.sodium)))
  expect(new Set([digest, ...digests]).size).toBe(changes.length + 1)
})
