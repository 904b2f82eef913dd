import type { TermRef } from '@sealmesh/protocol/crdt/block'
import type { RecordHash } from '@sealmesh/protocol/ids'
import { judgeWith } from '@sealmesh/protocol/membership/judge'
import type { Basis, Cut, SignedRecord } from '@sealmesh/protocol/membership/record'
import { describe, expect, test } from 'vitest'
import { FakeSodium } from './fake-sodium.ts'
import {
  admit,
  assign,
  blockBy,
  bySequence,
  grant,
  host,
  lapse,
  type Machine,
  prekey,
  revoke,
  Scene,
  ungrant,
  upTo,
} from './scene.ts'

/** Home holds the agent; office is its standby; shed is a member that may do nothing yet. */
function household() {
  const scene = new Scene(new FakeSodium())
  const [home, office, shed] = [scene.machine('home'), scene.machine('office'), scene.machine('shed')]
  scene.found(home)
  scene.sign(home, admit(office, true))
  scene.sign(home, admit(shed))
  const { agent } = home
  scene.sign(agent, host(agent, [home, office]))
  const first = scene.sign(home, assign(agent, home, 1, null))

  const verdict = (
    author: Machine,
    layer: string,
    options: { sequence?: number; heads?: readonly RecordHash[]; term?: TermRef | null } = {},
  ) => {
    const block = blockBy(author, { agent: agent.id, layer }, { mesh: scene.mesh, ...options })
    return judgeWith(scene.fold())(block, bySequence)
  }
  const cut = (author: Machine, sequence: number, layer = 'semantic'): Cut => ({
    document: { agent: agent.id, layer },
    vector: upTo(author, sequence),
  })
  return { scene, home, office, shed, agent, first, verdict, cut }
}

const termOf = (record: SignedRecord): TermRef => ({
  number: record.body.type === 'assign' ? record.body.term : 0,
  assign: record.hash,
})
const FOLD = { type: 'fold' }
const NOT_A_WRITER = { type: 'void', reason: 'NOT_A_WRITER' }
const BEYOND_CUT = { type: 'void', reason: 'BEYOND_CUT' }
const LAPSED = { type: 'void', reason: 'LAPSED' }
const WRONG_TERM = { type: 'void', reason: 'WRONG_TERM' }
const UNKNOWN_AUTHOR = { type: 'void', reason: 'UNKNOWN_AUTHOR' }

describe('layers of many writers', () => {
  test('hosts write without a grant', () => {
    const { home, office, verdict } = household()
    expect(verdict(home, 'semantic')).toEqual(FOLD)
    expect(verdict(office, 'semantic')).toEqual(FOLD)
  })

  test('T-peer-2: NOT_A_WRITER: members write nothing until they are granted to, and then also what they wrote before', () => {
    const { scene, shed, agent, verdict } = household()
    expect(verdict(shed, 'semantic')).toEqual(NOT_A_WRITER)
    scene.sign(agent, grant(agent, 'semantic', shed, 'read'))
    expect(verdict(shed, 'semantic')).toEqual(NOT_A_WRITER)
    scene.sign(agent, grant(agent, 'semantic', shed, 'write'))
    expect(verdict(shed, 'semantic')).toEqual(FOLD)
    expect(verdict(shed, 'episodic')).toEqual(NOT_A_WRITER)
  })

  test('a grant to an agent is a grant to its hosts', () => {
    const { scene, shed, agent, verdict } = household()
    scene.sign(agent, grant(agent, 'semantic', shed.agent, 'write'))
    expect(verdict(shed, 'semantic')).toEqual(NOT_A_WRITER)
    scene.sign(shed.agent, host(shed.agent, [shed]))
    expect(verdict(shed, 'semantic')).toEqual(FOLD)
  })

  test('unknown: the log heads that a block names have not arrived', () => {
    const { home, verdict } = household()
    expect(verdict(home, 'semantic', { heads: ['ab'.repeat(32) as RecordHash] })).toEqual({ type: 'unknown' })
  })

  test('T-peer-1: UNKNOWN_AUTHOR: a stranger, one whose admission is void, and a block of another mesh', () => {
    const { scene, home, shed, agent, verdict } = household()
    const attic = scene.machine('attic')
    expect(verdict(attic, 'semantic')).toEqual(UNKNOWN_AUTHOR)
    scene.sign(shed, admit(attic))
    expect(verdict(attic, 'semantic')).toEqual(UNKNOWN_AUTHOR)
    const other = new Scene(scene.sodium, 'another root').mesh
    const block = blockBy(home, { agent: agent.id, layer: 'semantic' }, { mesh: other })
    expect(judgeWith(scene.fold())(block, bySequence)).toEqual(UNKNOWN_AUTHOR)
  })
})

describe('what ended', () => {
  test('T-revoked-1: BEYOND_CUT: of a removed node its blocks count up to the cut, document by document', () => {
    const { scene, home, office, verdict, cut } = household()
    scene.sign(home, revoke(office, [cut(office, 3)]))
    expect(verdict(office, 'semantic', { sequence: 3 })).toEqual(FOLD)
    expect(verdict(office, 'semantic', { sequence: 4 })).toEqual(BEYOND_CUT)
    expect(verdict(office, 'episodic', { sequence: 1 })).toEqual(BEYOND_CUT)
    expect(verdict(home, 'semantic', { sequence: 9 })).toEqual(FOLD)
  })

  test('a second removal by somebody who reads more documents adds its cuts', () => {
    const { scene, home, office, verdict, cut } = household()
    scene.sign(home, revoke(office, [cut(office, 3)]))
    scene.sign(home, revoke(office, [cut(office, 5, 'episodic')]))
    expect(verdict(office, 'semantic', { sequence: 3 })).toEqual(FOLD)
    expect(verdict(office, 'episodic', { sequence: 5 })).toEqual(FOLD)
    expect(verdict(office, 'episodic', { sequence: 6 })).toEqual(BEYOND_CUT)
  })

  test('T-clone-3: LAPSED: of a silent node counts what the cut has, and what it writes once it knows of the lapse', () => {
    const { scene, home, office, verdict, cut } = household()
    const lapsed = scene.sign(home, lapse(office, [cut(office, 3)]))
    expect(scene.fold().nodes.get(office.id)).toMatchObject({ lapsed: true, revocations: [] })
    expect(verdict(office, 'semantic', { sequence: 3 })).toEqual(FOLD)
    expect(verdict(office, 'semantic', { sequence: 4 })).toEqual(LAPSED)
    expect(verdict(office, 'episodic', { sequence: 1 })).toEqual(FOLD) // Its signer may never have read that one.
    expect(verdict(office, 'semantic', { sequence: 9, heads: [lapsed.hash] })).toEqual(FOLD)
    expect(verdict(home, 'semantic', { sequence: 9 })).toEqual(FOLD)
  })

  test('a lapsed node is back with the next prekey that it announces, and may fall silent again', () => {
    const { scene, home, office, verdict, cut } = household()
    scene.sign(office, prekey(office, 1, 2))
    scene.sign(home, lapse(office, [cut(office, 3)]))
    expect(scene.fold().nodes.get(office.id)?.lapsed).toBe(true)
    const back = scene.sign(office, prekey(office, 100, 101))
    expect(scene.fold().nodes.get(office.id)?.lapsed).toBe(false)
    // The second silence: its cut covers what is void for the first one, too, and does not bring it back.
    scene.sign(home, lapse(office, [cut(office, 9)]))
    expect(scene.fold().nodes.get(office.id)?.lapsed).toBe(true)
    expect(verdict(office, 'semantic', { sequence: 4 })).toEqual(LAPSED)
    expect(verdict(office, 'semantic', { sequence: 9, heads: [back.hash] })).toEqual(FOLD)
    expect(verdict(office, 'semantic', { sequence: 10, heads: [back.hash] })).toEqual(LAPSED)
  })

  test('a second lapse of one silence by somebody who reads more documents adds its cuts', () => {
    const { scene, home, office, verdict, cut } = household()
    scene.sign(home, lapse(office, [cut(office, 3)]))
    scene.sign(home, lapse(office, [cut(office, 5, 'episodic')]))
    expect(verdict(office, 'semantic', { sequence: 3 })).toEqual(FOLD)
    expect(verdict(office, 'episodic', { sequence: 5 })).toEqual(FOLD)
    expect(verdict(office, 'episodic', { sequence: 6 })).toEqual(LAPSED)
  })

  test('a lapse by somebody who is no admin counts for nothing', () => {
    const { scene, office, shed, verdict } = household()
    const record = scene.sign(shed, lapse(office))
    expect(scene.fold().voided.get(record.hash)).toBe('SIGNER_NOT_ALLOWED')
    expect(verdict(office, 'semantic', { sequence: 4 })).toEqual(FOLD)
  })

  test('after an ungrant a writer counts up to the cut', () => {
    const { scene, shed, agent, verdict, cut } = household()
    const given = scene.sign(agent, grant(agent, 'semantic', shed, 'write'))
    scene.sign(agent, ungrant(agent, given, [cut(shed, 2)]))
    expect(verdict(shed, 'semantic', { sequence: 2 })).toEqual(FOLD)
    expect(verdict(shed, 'semantic', { sequence: 3 })).toEqual(BEYOND_CUT)
  })

  test('a second grant that still runs lets everything count', () => {
    const { scene, shed, agent, verdict } = household()
    const given = scene.sign(agent, grant(agent, 'semantic', shed, 'write'))
    scene.sign(agent, ungrant(agent, given))
    scene.sign(agent, grant(agent, 'semantic', shed, 'write'))
    expect(verdict(shed, 'semantic', { sequence: 9 })).toEqual(FOLD)
  })

  test('a host that was dropped counts up to the cut, and all of it once it is named again', () => {
    const { scene, home, office, agent, verdict, cut } = household()
    scene.sign(agent, host(agent, [home], { cuts: [{ node: office.id, cuts: [cut(office, 2)] }] }))
    scene.sign(agent, host(agent, [home], { name: 'renamed' }))
    expect(verdict(office, 'semantic', { sequence: 2 })).toEqual(FOLD)
    expect(verdict(office, 'semantic', { sequence: 3 })).toEqual(BEYOND_CUT)
    scene.sign(agent, host(agent, [home, office]))
    expect(verdict(office, 'semantic', { sequence: 3 })).toEqual(FOLD)
  })

  test('T-revoked-1: NOT_A_WRITER: what an author wrote in knowledge of the end does not count, whatever the cut says', () => {
    const { scene, home, office, shed, agent, verdict, cut } = household()
    const given = scene.sign(agent, grant(agent, 'semantic', shed, 'write'))
    const taken = scene.sign(agent, ungrant(agent, given, [cut(shed, 99)]))
    const drop = scene.sign(agent, host(agent, [home], { cuts: [{ node: office.id, cuts: [cut(office, 99)] }] }))
    expect(verdict(shed, 'semantic')).toEqual(FOLD)
    expect(verdict(shed, 'semantic', { heads: [taken.hash] })).toEqual(NOT_A_WRITER)
    expect(verdict(office, 'semantic', { heads: [taken.hash] })).toEqual(FOLD)
    expect(verdict(office, 'semantic', { heads: [drop.hash] })).toEqual(NOT_A_WRITER)
    const removal = scene.sign(home, revoke(office, [cut(office, 99)]))
    expect(verdict(office, 'semantic', { heads: [removal.hash] })).toEqual(NOT_A_WRITER)
  })

  test('knowing an old end does no harm to one who knew that the right was given again', () => {
    const { scene, home, office, agent, verdict } = household()
    const drop = scene.sign(agent, host(agent, [home]))
    const again = scene.sign(agent, host(agent, [home, office]))
    expect(verdict(office, 'semantic', { heads: [again.hash] })).toEqual(FOLD)
    expect(verdict(office, 'semantic', { heads: [drop.hash] })).toEqual(NOT_A_WRITER)
  })

  test('a grant to standbys ends for a host that is dropped', () => {
    const { scene, home, office, shed, agent, verdict, cut } = household()
    scene.sign(shed.agent, host(shed.agent, [office]))
    scene.sign(agent, grant(agent, 'semantic', shed.agent, 'write'))
    scene.sign(agent, host(agent, [home], { cuts: [{ node: office.id, cuts: [] }] }))
    expect(verdict(office, 'semantic', { sequence: 4 })).toEqual(FOLD) // By the other agent's grant.
    scene.sign(shed.agent, host(shed.agent, [shed], { cuts: [{ node: office.id, cuts: [cut(office, 2)] }] }))
    expect(verdict(office, 'semantic', { sequence: 2 })).toEqual(FOLD)
    expect(verdict(office, 'semantic', { sequence: 3 })).toEqual(BEYOND_CUT)
  })
})

describe('layers of one writer', () => {
  const session = (author: Machine, sequence: number): Basis => ({
    layer: 'session',
    vector: upTo(author, sequence),
    digest: new Uint8Array(32),
  })

  test('the holder writes under its term', () => {
    const { home, first, verdict } = household()
    expect(verdict(home, 'session', { term: termOf(first) })).toEqual(FOLD)
  })

  test('T-peer-2: WRONG_TERM: no term, a term that does not exist, another number, or another holder', () => {
    const { home, office, first, verdict } = household()
    const absent: TermRef = { number: 1, assign: 'ab'.repeat(32) as RecordHash }
    expect(verdict(home, 'session')).toEqual(WRONG_TERM)
    expect(verdict(home, 'session', { term: absent })).toEqual(WRONG_TERM)
    expect(verdict(home, 'session', { term: { ...termOf(first), number: 2 } })).toEqual(WRONG_TERM)
    expect(verdict(office, 'session', { term: termOf(first) })).toEqual(WRONG_TERM)
  })

  test('WRONG_TERM: an assign that is void gives no right', () => {
    const { scene, shed, agent, first, verdict } = household()
    const stolen = scene.sign(shed, assign(agent, shed, 2, first))
    expect(verdict(shed, 'session', { term: termOf(stolen) })).toEqual(WRONG_TERM)
  })

  test('T-peer-2: a write grant opens no layer of one writer', () => {
    const { scene, shed, agent, first, verdict } = household()
    scene.sign(agent, grant(agent, 'session', shed, 'write'))
    expect(verdict(shed, 'session', { term: termOf(first) })).toEqual(WRONG_TERM)
  })

  test('late: a block that the basis of a higher term does not cover, whenever it arrives', () => {
    const { scene, home, office, agent, first, verdict } = household()
    const second = scene.sign(office, assign(agent, office, 2, first, [session(home, 2)]))
    expect(verdict(home, 'session', { sequence: 2, term: termOf(first) })).toEqual(FOLD)
    expect(verdict(home, 'session', { sequence: 3, term: termOf(first) })).toEqual({ type: 'late', term: 1 })
    expect(verdict(office, 'session', { term: termOf(second) })).toEqual(FOLD)
  })

  test('late in one higher term is late, even if a still higher one had received it', () => {
    const { scene, home, office, agent, first, verdict } = household()
    const second = scene.sign(office, assign(agent, office, 2, first, [session(home, 2)]))
    scene.sign(home, assign(agent, home, 3, second, [session(home, 9)]))
    expect(verdict(home, 'session', { sequence: 3, term: termOf(first) })).toEqual({ type: 'late', term: 1 })
  })

  test('a term two above is asked too: what only the next one had received is late', () => {
    const { scene, home, office, agent, first, verdict } = household()
    const second = scene.sign(office, assign(agent, office, 2, first, [session(home, 9)]))
    scene.sign(home, assign(agent, home, 3, second, [session(home, 2)]))
    expect(verdict(home, 'session', { sequence: 2, term: termOf(first) })).toEqual(FOLD)
    expect(verdict(home, 'session', { sequence: 3, term: termOf(first) })).toEqual({ type: 'late', term: 1 })
  })

  test('a layer that the basis does not name starts from nothing', () => {
    const { scene, home, office, agent, first, verdict } = household()
    scene.sign(office, assign(agent, office, 2, first))
    expect(verdict(home, 'session', { term: termOf(first) })).toEqual({ type: 'late', term: 1 })
    expect(verdict(home, 'semantic', { term: null })).toEqual(FOLD)
  })

  test('two terms of one number: the blocks of both stand', () => {
    const { scene, home, office, agent, first, verdict } = household()
    const one = scene.sign(home, assign(agent, home, 2, first), { after: [first] })
    const other = scene.sign(office, assign(agent, office, 2, first), { after: [first] })
    expect(verdict(home, 'session', { term: termOf(one) })).toEqual(FOLD)
    expect(verdict(office, 'session', { term: termOf(other) })).toEqual(FOLD)
  })

  test('a holder that the host list dropped counts up to the cut', () => {
    const { scene, home, office, agent, first, verdict, cut } = household()
    scene.sign(agent, host(agent, [office], { cuts: [{ node: home.id, cuts: [cut(home, 1, 'session')] }] }))
    expect(verdict(home, 'session', { sequence: 1, term: termOf(first) })).toEqual(FOLD)
    expect(verdict(home, 'session', { sequence: 2, term: termOf(first) })).toEqual(BEYOND_CUT)
  })
})
